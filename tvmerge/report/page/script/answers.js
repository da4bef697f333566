// The browser of answers: filters, text search, order, pages, and the keys j, k and /.

class AnswerBrowser {
  constructor(root, questions, said) {
    this.root = root;
    this.questions = questions;
    this.said = said;
    this.index = new TextIndex(questions, said);
    this.cards = root.querySelector("#cards");
    this.output = root.querySelector("output");
    [this.category, this.change, this.order] = root.querySelectorAll("select");
    this.query = root.querySelector("input[type=search]");
    this.pager = new Pager(DATA.page_size, () => this.draw(0));
    this.cards.after(this.pager.element);
    this.current = -1;
    this.asked = 0;
  }

  async start() {
    this.listen(this.root);
    this.root.hidden = false;
    await this.filter();
  }

  listen(root) {
    const form = root.querySelector("form");
    form.addEventListener("change", () => this.filter());
    form.addEventListener("submit", (event) => event.preventDefault());
    let waiting = 0;
    this.query.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.filter(), 150);
    });
    document.addEventListener("keydown", (event) => this.key(event));
  }

  // Waits for something, and returns nothing if the reader has asked for something else meanwhile.
  async latest(promise) {
    this.asked += 1;
    const asked = this.asked;
    const found = await promise;
    return asked === this.asked ? found : null;
  }

  async filter() {
    const fits = (select, value) => select.value === "" || select.value === `=${value}`;
    const matching = await this.latest(this.index.matching(this.query.value));
    if (!matching) return;
    this.found = matching
      .map((index) => ({ question: this.questions[index], index }))
      .filter(
        ({ question }) => fits(this.category, question.category) && fits(this.change, question.change)
      );
    this.sort();
    this.pager.show(this.found.length);
    if (!(await this.render())) return;
    const numbers = { found: this.found.length, total: this.questions.length };
    this.output.textContent = fill(TEXT.shown, numbers);
  }

  sort() {
    const sign = { gain: -1, loss: 1 }[this.order.value];
    if (sign) this.found.sort((a, b) => sign * ((a.question.lead ?? 0) - (b.question.lead ?? 0)));
  }

  // Puts the questions of the page into the document, and nothing else. Returns whether it has.
  async render() {
    const { first, size } = this.pager;
    const page = this.found.slice(first, first + size);
    const said = await this.latest(this.said.all(page.map(({ index }) => index)));
    if (!said) return false;
    this.cards.replaceChildren(...page.map(({ question }, place) => questionCard(question, said[place])));
    this.current = -1;
    highlight(this.cards, this.query.value);
    return true;
  }

  // Shows the page again and goes to one of its questions.
  async draw(place) {
    if (await this.render()) this.select(place);
  }

  select(place) {
    const card = this.cards.children[place];
    if (!card) return;
    this.cards.querySelector("[aria-current]")?.removeAttribute("aria-current");
    this.current = place;
    card.setAttribute("aria-current", "true");
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "start" });
  }

  step(by) {
    const place = this.current + by;
    const { page, pages } = this.pager;
    if (place >= 0 && place < this.cards.children.length) this.select(place);
    else if (by > 0 && page < pages - 1) this.pager.turn(page + 1);
    else if (by < 0 && this.current === 0 && page > 0) {
      this.pager.show(this.found.length, page - 1);
      this.draw(this.pager.size - 1);
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target === this.query) {
      event.preventDefault(); // browsers would empty the field
      this.query.blur();
      return;
    }
    if (event.target.closest?.("input, select, textarea, [contenteditable]")) return;
    const action = { j: () => this.step(1), k: () => this.step(-1), "/": () => this.find() }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  find() {
    this.query.focus();
    this.query.select();
    this.query.scrollIntoView({ block: "center" });
  }
}
