// Dates by the reader's own clock: the server tells them in UTC.
import { date, fullDate } from "./format.js";

export function dates(within = document) {
  for (const time of within.querySelectorAll("time[data-time]")) {
    time.title = fullDate(Number(time.dataset.time));
    time.textContent = date(Number(time.dataset.time));
  }
}
dates();
