// Buttons that turn the pages of a list of which only one page is in the document.

class Pager {
  constructor(size, onTurn) {
    this.size = size;
    this.page = 0;
    this.total = 0;
    this.onTurn = onTurn;
    this.back = make("button", { type: "button" }, TEXT.previous);
    this.next = make("button", { type: "button" }, TEXT.next);
    this.place = make("span", { class: "place" });
    this.back.addEventListener("click", () => this.turn(this.page - 1));
    this.next.addEventListener("click", () => this.turn(this.page + 1));
    this.element = make("div", { class: "pager" }, this.back, this.place, this.next);
  }

  get pages() {
    return Math.max(1, Math.ceil(this.total / this.size));
  }

  get first() {
    return this.page * this.size;
  }

  // Shows the page of a list of `total` entries, or its last page.
  show(total, page = 0) {
    this.total = total;
    this.page = Math.min(Math.max(0, page), this.pages - 1);
    this.back.disabled = this.page === 0;
    this.next.disabled = this.page === this.pages - 1;
    const last = Math.min(this.first + this.size, total);
    this.place.textContent = fill(TEXT.place, { first: total ? this.first + 1 : 0, last, total });
    this.element.hidden = total <= this.size;
  }

  turn(page) {
    this.show(this.total, page);
    this.onTurn();
  }
}
