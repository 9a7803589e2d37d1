// Pages of a PDF, each drawn on a canvas when it comes near, and taken away when it is far: a document of any length.
// Nothing in a PDF runs: its scripts, forms and links are left out.
import { GlobalWorkerOptions, getDocument, RenderingCancelledException } from "./pdf.min.mjs";
import { say } from "./format.js";

const here = new URL(".", import.meta.url).href;
const host = document.getElementById("pages");
const words = document.getElementById("pages-words");
/** Pixels on one canvas: beyond, it is drawn coarser. */
const PIXELS_MAX = 16_000_000;
/** Pages that have a place; a document of more is downloaded. */
const PAGES_MAX = 2000;

GlobalWorkerOptions.workerSrc = `${here}pdf.worker.min.mjs`;

function fit(canvas, page, width) {
  const whole = page.getViewport({ scale: 1 });
  const scale = width / whole.width;
  const fine = Math.min(devicePixelRatio || 1, Math.sqrt(PIXELS_MAX / (whole.width * whole.height)) / scale);
  const viewport = page.getViewport({ scale: scale * fine });
  canvas.width = Math.ceil(viewport.width);
  canvas.height = Math.ceil(viewport.height);
  return viewport;
}

async function draw(pdf, place) {
  if (place.task || place.firstElementChild) return;
  place.task = {};
  const mine = place.task;
  try {
    const page = await pdf.getPage(Number(place.dataset.page));
    if (place.task !== mine) return;
    const { width, height } = page.getViewport({ scale: 1 });
    place.style.aspectRatio = `${width} / ${height}`;
    const canvas = document.createElement("canvas");
    const viewport = fit(canvas, page, place.clientWidth);
    mine.render = page.render({ canvas, viewport });
    await mine.render.promise;
    if (place.task !== mine) return;
    place.replaceChildren(canvas);
    place.dataset.drawn = "true";
  } catch (problem) {
    if (!(problem instanceof RenderingCancelledException)) place.textContent = say("view_failed");
  } finally {
    if (place.task === mine) place.task = null;
  }
}

function forget(place) {
  place.task?.render?.cancel();
  place.task = null;
  delete place.dataset.drawn;
  place.replaceChildren();
}

async function show() {
  const pdf = await getDocument({
    url: host.dataset.src,
    wasmUrl: here,
    // Only what is looked at is fetched.
    disableAutoFetch: true,
    disableStream: true,
    enableXfa: false,
    // Nothing in a document becomes code, and no picture in it takes more than a screen can show.
    isEvalSupported: false,
    maxImageSize: 64 * 1024 * 1024,
    stopAtErrors: false,
  }).promise;
  const first = await pdf.getPage(1);
  const { width, height } = first.getViewport({ scale: 1 });
  const places = Array.from({ length: Math.min(pdf.numPages, PAGES_MAX) }, (_, at) => {
    const place = document.createElement("div");
    place.className = "page";
    place.dataset.page = at + 1;
    place.dataset.testid = "pdf-page";
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", say("view_page", { number: at + 1, count: pdf.numPages }));
    // Until it is drawn, as the first: so that scrolling does not jump.
    place.style.aspectRatio = `${width} / ${height}`;
    return place;
  });
  host.replaceChildren(...places);
  if (pdf.numPages > PAGES_MAX) {
    words.textContent = say("view_pages_more", { count: PAGES_MAX });
    host.append(words);
  }
  const near = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) isIntersecting ? draw(pdf, target) : forget(target);
  }, { rootMargin: "1200px" });
  places.forEach((place) => near.observe(place));
}

show().catch((problem) => {
  console.warn(problem);
  const why = problem.name === "PasswordException" ? "view_pdf_password" : "view_failed";
  words.textContent = say(why);
  host.replaceChildren(words);
});
