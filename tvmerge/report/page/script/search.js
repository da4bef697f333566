// Finds questions by their texts: the question, the answers and the judges' words. Full-width and half-width
// letters are the same, and so are capital and small ones.

function plain(text) {
  return text.normalize("NFKC").toLowerCase();
}

function everyText(question) {
  const parts = [question.id, question.category];
  for (const turn of question.turns) {
    parts.push(turn.prompt, turn.reference);
    for (const reply of turn.replies.flat()) {
      parts.push(reply.text, reply.thought, ...reply.judgments.flatMap(([, words, note]) => [words, note]));
    }
  }
  return parts.join("\n");
}

class TextIndex {
  constructor(questions) {
    this.questions = questions;
    this.texts = [];
  }

  // Whether question number `index` contains every word of `query`.
  contains(index, query) {
    const words = plain(query).split(/\s+/u).filter(Boolean);
    if (!words.length) return true;
    this.texts[index] ??= plain(everyText(this.questions[index]));
    return words.every((word) => this.texts[index].includes(word));
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
