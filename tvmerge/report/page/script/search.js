// Finds questions by their texts: the question, the answers and the judges' words. Full-width and half-width
// letters are the same, and so are capital and small ones.

function plain(text) {
  return text.normalize("NFKC").toLowerCase();
}

function everyText(question, turns) {
  const parts = [question.id, question.category];
  for (const turn of turns) {
    parts.push(turn.prompt, turn.reference);
    for (const reply of turn.replies.flat()) {
      parts.push(reply.text, reply.thought, ...reply.judgments.flatMap(([, words, note]) => [words, note]));
    }
  }
  return parts.join("\n");
}

class TextIndex {
  constructor(questions, said) {
    this.questions = questions;
    this.said = said;
    this.texts = null;
  }

  // The numbers of the questions that contain every word of `query`; all of them without a word.
  async matching(query) {
    const words = plain(query).split(/\s+/u).filter(Boolean);
    const all = [...this.questions.keys()];
    if (!words.length) return all;
    this.texts ??= this.said
      .all(all)
      .then((turns) => turns.map((each, index) => plain(everyText(this.questions[index], each))));
    const texts = await this.texts;
    return all.filter((index) => words.every((word) => texts[index].includes(word)));
  }
}

// Marks the words in what is shown, where the browser can do that without changing the document.
function highlight(root, query) {
  if (!("highlights" in CSS)) return;
  const words = plain(query).split(/\s+/u).filter(Boolean);
  const ranges = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (words.length && walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.data.toLowerCase();
    for (const word of words) {
      for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
        if (at + word.length > node.length) break;
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, at + word.length);
        ranges.push(range);
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
