// Source code in colours. What cannot be told, or would take long, stays as it is.
const LONGEST = 64 * 1024;
const WITHIN = 1500;

for (const code of document.querySelectorAll("pre[data-code]")) {
  const text = code.textContent;
  if (text.length > LONGEST) continue;
  // Grammars are regular expressions, which some texts keep busy for ever: they run beside the page, and not for long.
  const worker = new Worker(new URL("./colours.js", import.meta.url), { type: "module" });
  const late = setTimeout(() => worker.terminate(), WITHIN);
  worker.addEventListener("message", ({ data: coloured }) => {
    clearTimeout(late);
    worker.terminate();
    // The text in it is escaped.
    if (coloured) code.innerHTML = coloured;
  });
  worker.postMessage({ text, language: code.dataset.code });
}
