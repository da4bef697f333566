// Starts what is on the page.

for (const [name, table] of Object.entries(DATA.tables)) {
  new PagedTable(document.getElementById(name).closest("details"), table);
}
const browser = document.getElementById("browser");
if (browser) new AnswerBrowser(browser, DATA.questions);
