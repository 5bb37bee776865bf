// What every page of the service does with scripts: times stay true, lists and jobs stay up to date.
// Nothing here evaluates text, and HTML comes from this service alone, through the one policy below.
"use strict";
(() => {
  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("dspy-service", { createHTML: (html) => html })
    : { createHTML: (html) => html };
  const noCode = function () {
    throw new Error("This page evaluates no code.");
  };
  htmx.registerExtension("page", { init: (api) => api.initSecurity(policy, noCode, noCode) });

  // Times: relative for reading.
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const relative = (seconds) => {
    const [unit, size] = units.find(([, size]) => seconds >= size) || ["s", 1];
    return seconds < 5 ? "just now" : `${Math.floor(seconds / size)} ${unit} ago`;
  };
  const refreshTimes = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const said = relative((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== said) time.textContent = said;
    }
  };
  setInterval(() => refreshTimes(document), 10000);

  // A job's stream: #live is shown anew at most so often, and surely once after the last news.
  const LEAST_MILLISECONDS = 400;
  let waiting = 0;
  const refreshLive = () => {
    if (waiting) return;
    waiting = setTimeout(() => {
      waiting = 0;
      const live = document.getElementById("live");
      if (live) htmx.trigger(live, "page-news");
    }, LEAST_MILLISECONDS);
  };
  const ended = () => {
    document.getElementById("stream")?.remove();
    if (document.getElementById("live")) location.reload();
  };
  for (const word of ["event", "candidate"]) document.addEventListener(word, refreshLive);
  document.addEventListener("status", (told) => {
    if (String(told.detail.id).endsWith(".end")) ended();
    else refreshLive();
  });
  document.addEventListener("log", (told) => {
    const list = document.querySelector("[data-log]");
    if (list) addLine(list, JSON.parse(told.detail.data));
  });
  // After a break nothing is known of what was missed but the entries, which come again.
  document.addEventListener("htmx:sse:after:connection", refreshLive);

  // The log: lines as the server writes them, made of text alone.
  const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u;
  const PLAIN = /[\n\t\u200c\u200d]/;
  const element = (kind, text, name) => {
    const made = document.createElement(kind);
    made.append(text);
    if (name) made.className = name;
    return made;
  };
  const shown = (text) => {
    const all = document.createElement("span");
    all.dir = "auto";
    let plain = "";
    for (const character of text) {
      if (!HIDDEN.test(character) || PLAIN.test(character)) {
        plain += character;
        continue;
      }
      const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      all.append(plain, element("span", `U+${code}`, "hidden-character"));
      plain = "";
    }
    all.append(plain);
    return all;
  };
  const isWanted = (list, entry) => {
    const level = LEVELS.indexOf(list.dataset.level || "");
    const words = (list.dataset.words || "").toLowerCase().split(/\s+/).filter(Boolean);
    const said = `${entry.logger} ${entry.message}`.toLowerCase();
    const own = LEVELS.indexOf(entry.level);
    return (level < 0 || own < 0 || own >= level) && words.every((word) => said.includes(word));
  };
  let newest = 0;
  const addLine = (list, entry) => {
    if (entry.n <= newest || !isWanted(list, entry)) return;
    if (list.dataset.most === "12" && entry.message.includes("%|")) return; // a bar of tqdm's: there is one already
    newest = entry.n;
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
    const time = element("time", "just now");
    time.dateTime = entry.timestamp;
    time.title = entry.timestamp;
    const line = element("li", "", `line ${LEVELS.includes(entry.level) ? entry.level : "INFO"}`);
    line.append(time, " ", element("b", entry.level), " ", element("i", entry.logger), " ", shown(entry.message));
    list.append(line);
    while (list.children.length > Number(list.dataset.most)) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  };
  // A draft that became a job is not needed any more.
  const sent = sessionStorage.getItem("sent");
  if (sent && location.pathname.startsWith("/page/jobs/")) {
    localStorage.removeItem(sent);
    sessionStorage.removeItem("sent");
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const list of document.querySelectorAll("[data-log]")) list.scrollTop = list.scrollHeight;
    refreshTimes(document);
  });
})();
