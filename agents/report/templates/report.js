
"use strict";
(() => {
  const table = document.getElementById("table");
  const body = table && table.tBodies[0];
  const names = table ? [...table.tHead.rows[0].cells].map((cell) => cell.textContent) : [];
  const rowOf = (trial) => document.getElementById("t" + trial);

  // Sorting: a click orders by a column, a second one turns it round. What is missing comes last.
  const key = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = Number(text);
    return text === "" || text === "\u2013" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === typeof b
      ? typeof a === "number" ? a - b : a.localeCompare(b)
      : typeof a === "number" ? -1 : 1;
  const sort = (header, column) => {
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return down ? compare(b, a) : compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
  };
  if (table) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sort(header, column));
    });
  }

  // Filtering by text and state.
  const form = document.querySelector(".filter");
  if (form) {
    const [text, state, said] = [form.querySelector("input"), form.querySelector("select"), form.querySelector("output")];
    const filter = () => {
      const wanted = text.value.toLowerCase();
      let shown = 0;
      for (const row of body.rows) {
        const hit =
          (!wanted || row.textContent.toLowerCase().includes(wanted)) &&
          (!state.value || row.cells[1].className === state.value);
        row.hidden = !hit;
        shown += hit;
      }
      said.textContent = shown === body.rows.length ? "" : shown + " of " + body.rows.length;
    };
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  // Hovering over a trial in one chart shows it in all of them, with its parameters.
  const marks = new Map();
  for (const mark of document.querySelectorAll("svg [data-trial]")) {
    const trial = mark.dataset.trial;
    if (!marks.has(trial)) marks.set(trial, []);
    marks.get(trial).push(mark);
    const title = mark.querySelector("title");
    if (title) {
      mark.dataset.title = title.textContent;
      title.remove();
    }
  }
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  let current = null;
  const light = (trial) => {
    if (trial === current) return;
    for (const [number, on] of [[current, false], [trial, true]])
      for (const mark of marks.get(number) || []) {
        mark.classList.toggle("on", on);
        if (on && mark.matches(".curve, .thread")) mark.parentNode.append(mark); // on top
      }
    current = trial;
  };
  const describe = (mark) => {
    const row = rowOf(mark.dataset.trial);
    const lines = [mark.dataset.title || "trial " + mark.dataset.trial];
    const first = names.indexOf("seconds") + 1;
    for (let i = first; row && i < names.indexOf("iteration"); i++)
      lines.push(names[i] + " " + row.cells[i].textContent);
    return lines.join("\n");
  };
  document.addEventListener("pointerover", (event) => {
    const mark = event.target.closest("svg [data-trial]");
    light(mark ? mark.dataset.trial : null);
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = describe(mark);
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const below = event.clientY + 16 + box.height < innerHeight;
    tip.style.left = Math.max(8, left) + "px";
    tip.style.top = (below ? event.clientY + 16 : Math.max(8, event.clientY - box.height - 12)) + "px";
  });
  document.addEventListener("click", (event) => {
    const mark = event.target.closest("svg [data-trial]");
    const row = mark && rowOf(mark.dataset.trial);
    if (!row) return;
    row.hidden = false;
    location.hash = row.id;
  });
})();
