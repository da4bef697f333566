// The page's data: texts of the interface, answers, trials and weights, as report/page/payload.py writes them.

async function unpacked(packed) {
  const letters = atob(packed);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// Much data is a text: the same data packed by gzip, in base64.
async function load(text) {
  const data = JSON.parse(text);
  return typeof data === "string" ? JSON.parse(await unpacked(data)) : data;
}

const old = document.getElementById("old");
if (old) old.hidden = "DecompressionStream" in window;
const DATA = await load(document.getElementById("data").textContent);
const TEXT = DATA.text;

// What is said to the questions, read part by part when it is needed.
class Conversations {
  constructor(elements, size) {
    this.elements = [...elements];
    this.size = size;
    this.parts = [];
  }

  // The turns of question number `index`.
  async of(index) {
    const number = Math.floor(index / this.size);
    this.parts[number] ??= load(this.elements[number].textContent);
    return (await this.parts[number])[index % this.size];
  }

  // The turns of these questions.
  all(indices) {
    return Promise.all(indices.map((index) => this.of(index)));
  }
}
