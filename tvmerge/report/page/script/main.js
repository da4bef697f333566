// Starts what is on the page.

for (const [name, table] of Object.entries(DATA.tables)) {
  new PagedTable(document.getElementById(name).closest("details"), table);
}
const browser = document.getElementById("browser");
if (browser) {
  const said = new Conversations(document.querySelectorAll("script.part"), DATA.part_size);
  await new AnswerBrowser(browser, DATA.questions, said).start();
}
