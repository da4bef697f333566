
// Filters the questions; without scripts the page simply shows them all.
const filter = document.getElementById("filter");
if (filter) {
  const cards = [...document.querySelectorAll("article[data-category]")];
  const [category, change] = filter.querySelectorAll("select");
  const update = () => {
    for (const card of cards) {
      const fits = (select, value) => select.value === "" || select.value === "=" + value;
      card.hidden = !(fits(category, card.dataset.category) && fits(change, card.dataset.change));
    }
    const shown = cards.filter((card) => !card.hidden).length;
    filter.querySelector("output").textContent = `${shown} of ${cards.length} shown`;
  };
  filter.addEventListener("change", update);
  filter.hidden = false;
  update();
}
