// Where no small picture can be made, the icon beneath it stays; some were found missing before this ran.
document.addEventListener("error", ({ target }) => target.matches?.("img.thumb") && target.remove(), true);
for (const image of document.querySelectorAll("img.thumb")) if (image.complete && image.naturalWidth === 0) image.remove();
