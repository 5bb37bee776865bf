// The form of a new job: line numbers beside code, and a draft that survives a reload. No key is ever kept.
"use strict";
(() => {
  const form = document.getElementById("send");
  if (!form) return;
  const place = `draft:${form.dataset.draft}`;
  const kept = () =>
    [...form.elements].filter((each) => each.name && !["password", "file", "hidden", "submit"].includes(each.type));

  const number = (area) => {
    const numbers = area.parentElement.querySelector(".numbers");
    if (!numbers) return;
    numbers.textContent = Array.from({ length: area.value.split("\n").length }, (_, n) => n + 1).join("\n");
    numbers.scrollTop = area.scrollTop;
    numbers.style.height = `${area.clientHeight}px`;
  };
  const numberAll = () => form.querySelectorAll(".numbered textarea").forEach(number);

  const save = () => {
    try {
      localStorage.setItem(place, JSON.stringify(kept().map((each) => [each.name, each.value])));
    } catch {
      // Full, or not allowed: then a reload forgets.
    }
  };
  const restore = () => {
    const draft = JSON.parse(localStorage.getItem(place) || "null");
    if (!draft || "refused" in form.dataset) return;
    let changed = false;
    for (const [name, value] of draft) {
      const field = form.elements.namedItem(name);
      if (!field || !("value" in field) || field.value === value) continue;
      field.value = value;
      changed = true;
    }
    document.getElementById("draft").hidden = !changed;
  };

  form.addEventListener("input", (event) => {
    if (event.target.tagName === "TEXTAREA") number(event.target);
    save();
  });
  form.addEventListener("change", save);
  form.addEventListener("submit", () => sessionStorage.setItem("sent", place));
  document.getElementById("discard").addEventListener("click", () => {
    localStorage.removeItem(place);
    location.reload();
  });
  form.querySelectorAll(".numbered textarea").forEach((area) => {
    area.addEventListener("scroll", () => number(area));
    new ResizeObserver(() => number(area)).observe(area);
  });
  restore();
  numberAll();
})();
