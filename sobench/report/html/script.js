"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const stored = (element) => JSON.parse(element.textContent);
  const element = (name, className, text) => {
    const made = document.createElement(name);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // Theme: the system's, until the switch is used.
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  // Rows: each can be taken out of all charts.
  const hidden = new Set();
  const showRows = () => {
    for (const part of all("[data-row]")) part.classList.toggle("hidden", hidden.has(part.dataset.row));
    for (const button of all("[data-toggle]"))
      button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.toggle)));
  };
  for (const button of all("[data-toggle]"))
    button.addEventListener("click", () => {
      const row = button.dataset.toggle;
      if (!hidden.delete(row)) hidden.add(row);
      showRows();
    });
  document.getElementById("all-rows")?.addEventListener("click", () => {
    const rows = all("[data-toggle]").map((button) => button.dataset.toggle);
    const none = hidden.size > 0;
    hidden.clear();
    if (!none) rows.forEach((row) => hidden.add(row));
    showRows();
  });

  // Tables: sorted by a column, undefined values last.
  const sort = (table, index, heading) => {
    const numeric = heading.classList.contains("number");
    const before = heading.getAttribute("aria-sort");
    const descending = before ? before === "ascending" : numeric;
    const key = (row) => {
      const value = row.cells[index].dataset.value;
      return value === undefined ? undefined : numeric ? Number(value) : value;
    };
    const compare = (a, b) => (numeric ? a - b : a.localeCompare(b));
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return descending ? compare(y, x) : compare(x, y);
    });
    body.append(...rows);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  };
  for (const table of all("table.sortable"))
    [...table.tHead.rows[0].cells].forEach((heading, index) =>
      heading.querySelector("button").addEventListener("click", () => sort(table, index, heading))
    );

  // Columns that a usual screen has no room for.
  for (const button of all("button.columns"))
    button.addEventListener("click", () => {
      const shown = document.getElementById(button.dataset.table).classList.toggle("whole");
      button.setAttribute("aria-pressed", String(shown));
    });

  // Precision and recall: the lines of the chosen part and IoU.
  const names = all("[data-toggle]").map((button) => button.textContent);
  const [left, right, top, bottom] = [56, 446, 12, 284]; // of the plot in the view box
  for (const section of all(".curves")) {
    const data = section.querySelector(".curve-data");
    if (!data) continue;
    const parts = stored(data);
    const [part, iou] = [section.querySelector(".part"), section.querySelector(".iou")];
    const draw = () => {
      const curves = parts[part.value].ious[iou.value];
      for (const line of all(".line", section)) {
        const values = curves[line.dataset.row]?.points || [];
        const places = values.map(
          (p, i) =>
            `${(left + ((right - left) * i) / 100).toFixed(1)},` +
            `${(bottom - ((bottom - top) * p) / 1000).toFixed(1)}`
        );
        line.setAttribute("points", places.join(" "));
      }
      const areas = Object.entries(curves).map(([row, curve]) => [row, curve.area]);
      areas.sort((a, b) => b[1] - a[1]);
      const body = section.querySelector(".areas tbody");
      body.replaceChildren(
        ...areas.map(([row, area]) => {
          const line = element("tr", hidden.has(row) ? "hidden" : "");
          line.dataset.row = row;
          const name = element("th", "text");
          name.append(element("span", `chip r${row}`), names[row]);
          line.append(name, element("td", "number", area));
          return line;
        })
      );
    };
    const choose = () => {
      const known = Object.keys(parts[part.value].ious).sort();
      const before = known.includes(iou.value) ? iou.value : known[0];
      iou.replaceChildren(
        ...known.map((name) => new Option(name === "mean" ? "mean of .50 to .95" : name, name))
      );
      iou.value = before;
      draw();
    };
    part.addEventListener("change", choose);
    iou.addEventListener("change", draw);
    choose();
  }

  // Images: a click makes a panel larger.
  for (const panel of all(".panels figure"))
    panel.addEventListener("click", () => panel.classList.toggle("large"));

  // Pairs: what is known of two rows.
  for (const section of all(".pairs")) {
    const data = section.querySelector(".pair-data");
    if (!data) continue;
    const pairs = stored(data);
    const place = section.querySelector(".pair");
    const buttons = all("[data-pair]", section);
    const show = (button) => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      const pair = pairs[button.dataset.pair];
      const verdict = pair.apart ? "told apart" : "not told apart";
      place.replaceChildren(
        element("h3", "", `${pair.first} less ${pair.second}`),
        element(
          "p", "",
          `${pair.metric} ${pair.mean}, 95 % interval ${pair.low} to ${pair.high}; ` +
            `p ${pair.p}, adjusted ${pair.adjusted}: ${verdict}`
        )
      );
      if (!pair.found) return;
      const heads = ["objects", "both find", `only ${pair.first}`, `only ${pair.second}`, "neither", ""];
      const table = element("table", "found");
      const headings = element("tr", "");
      headings.append(...heads.map((text, i) => element("th", i && i < 5 ? "number" : "text", text)));
      table.createTHead().append(headings);
      const body = table.createTBody();
      for (const [name, ...counts] of pair.found) {
        const row = element("tr", "");
        const split = element("div", "split");
        ["both", "first", "second", "neither"].forEach((kind, i) => {
          const bar = element("i", kind);
          bar.style.flexGrow = counts[i];
          split.append(bar);
        });
        const cell = element("td", "");
        cell.append(split);
        row.append(
          element("th", "text", name),
          ...counts.map((count) => element("td", "number", count.toFixed(1))),
          cell
        );
        body.append(row);
      }
      const scroll = element("div", "scroll");
      scroll.append(table);
      place.append(
        scroll,
        element("p", "note", "An object is found at an IoU of .50 from the row's own best score on; means over shared seeds.")
      );
    };
    buttons.forEach((button) => button.addEventListener("click", () => show(button)));
    if (buttons.length) show(buttons[0]);
  }
})();
