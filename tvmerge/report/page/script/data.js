// The page's data: texts of the interface, answers, trials and weights, as report/page/payload.py writes them.

const DATA = JSON.parse(document.getElementById("data").textContent);
const TEXT = DATA.text;
