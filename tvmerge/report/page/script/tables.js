// Long tables, a page of rows at a time, filled when they are opened.

class PagedTable {
  constructor(details, { rows, best }) {
    this.body = details.querySelector("tbody");
    this.kinds = [...details.querySelectorAll("thead th")].map((cell) => cell.className);
    this.rows = rows;
    this.best = best;
    this.pager = new Pager(DATA.table_size, () => this.draw());
    details.append(this.pager.element);
    details.addEventListener("toggle", () => this.open(), { once: true });
  }

  open() {
    this.pager.show(this.rows.length);
    this.draw();
  }

  draw() {
    const { first, size } = this.pager;
    this.body.replaceChildren(...this.rows.slice(first, first + size).map((row) => this.line(row)));
  }

  line(row) {
    const cells = row.map((text, index) =>
      make(index ? "td" : "th", { class: this.kinds[index] || null, scope: index ? null : "row" }, text)
    );
    return make("tr", { class: row[0] === this.best ? "best" : null }, ...cells);
  }
}
