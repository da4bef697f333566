// One question with the answers to it, side by side.

const SIGNS = { better: "▲", same: "=", worse: "▼" };

function textBlock(text) {
  return make("div", { class: "text", dir: "auto" }, text);
}

function folded(summary, text) {
  return make("details", { class: "words" }, make("summary", {}, summary), textBlock(text));
}

function judgmentBlock([, words, note, judge]) {
  if (words) return folded(note ? `${judge}: ${note}` : judge, words);
  return note ? make("p", { class: "note" }, note) : null;
}

function ratings(reply) {
  const marks = reply.judgments.map(([rating]) =>
    make("span", { class: rating === "-" ? "rating unrated" : "rating" }, rating)
  );
  const flag = { length: TEXT.cut_off, thought: TEXT.cut_in_thought }[reply.end];
  return make("div", { class: "ratings" }, ...marks, flag ? make("span", { class: "flag" }, flag) : null);
}

function replyBlock(reply) {
  const empty = reply.end === "thought" ? TEXT.no_answer_thought : TEXT.empty_answer;
  return make(
    "div",
    { class: "reply" },
    ratings(reply),
    reply.thought ? folded(TEXT.thought, reply.thought) : null,
    reply.text.trim() ? textBlock(reply.text) : make("p", { class: "empty" }, empty),
    ...reply.judgments.map(judgmentBlock)
  );
}

function side(column, replies) {
  const shown = replies.length
    ? replies.map(replyBlock)
    : [make("p", { class: "empty" }, TEXT.no_answer)];
  return make("div", { class: `side ${column.key}` }, make("h4", {}, column.label), ...shown);
}

function turnBlocks(turn, number, several) {
  const prompt = make(
    "div",
    { class: "prompt" },
    several ? make("span", { class: "turn" }, fill(TEXT.turn, { number })) : null,
    textBlock(turn.prompt),
    turn.reference ? folded(TEXT.reference, turn.reference) : null
  );
  const sides = DATA.columns.map((column, index) => side(column, turn.replies[index]));
  return [prompt, make("div", { class: "sides" }, ...sides)];
}

function questionCard(question, said) {
  const name = make("h3", {}, TEXT.question, " ", make("bdi", {}, question.id));
  const category = make("span", { class: "category" }, make("bdi", {}, question.category));
  const change = SIGNS[question.change]
    ? make(
        "span",
        { class: `change ${question.change}` },
        `${SIGNS[question.change]} ${fill(TEXT[question.change], { size: question.size })}`
      )
    : null;
  const turns = said.flatMap((turn, index) => turnBlocks(turn, index + 1, said.length > 1));
  return make("article", { tabindex: "-1" }, make("header", {}, name, category, change), ...turns);
}
