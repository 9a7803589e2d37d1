// A worker: answers a text with its HTML in colours; nothing for a language that is not known.
import highlight from "./highlight.min.js";

addEventListener("message", ({ data: { text, language } }) => {
  const known = highlight.getLanguage(language);
  postMessage(known ? highlight.highlight(text, { language, ignoreIllegals: true }).value : "");
});
