// Tables sort by a click on a column, say when they scroll, and come as CSV; figures as SVG.
(() => {
  "use strict";
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const button = (text, action) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", action);
    return made;
  };
  const value = (row, column) => {
    const cell = row.cells[column];
    const number = cell.dataset.value;
    return number === undefined ? cell.textContent : number === "" ? -Infinity : Number(number);
  };
  const sort = (table, column, heading) => {
    const up = heading.getAttribute("aria-sort") === "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const order = [...body.rows].sort((a, b) => {
      const left = value(a, column), right = value(b, column);
      const less = typeof left === "number" ? left - right : left.localeCompare(right);
      return up ? less : -less;
    });
    body.append(...order);
  };
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (table) => {
    const lines = [];
    for (const row of table.rows) {
      const cells = [...row.cells].flatMap((cell) =>
        cell.dataset.value === undefined
          ? cell.classList.contains("number")
            ? ["", " low", " high"].map((end) => cell.textContent.trim() + end)
            : [cell.dataset.name ?? cell.textContent.trim()]
          : [cell.dataset.value, cell.dataset.low ?? "", cell.dataset.high ?? ""]);
      lines.push(cells.map(quoted).join(","));
    }
    return lines.join("\n") + "\n";
  };
  document.querySelectorAll("table").forEach((table, number) => {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const text = heading.textContent;
      heading.textContent = "";
      heading.append(button(text, () => sort(table, column, heading)));
    });
    const bar = document.createElement("p");
    bar.className = "tools";
    bar.append(button("CSV", () => save(`table-${number + 1}.csv`, "text/csv", csv(table))));
    table.parentElement.before(bar);
  });
  document.querySelectorAll("figure").forEach((figure, number) => {
    const svg = figure.querySelector("svg");
    figure.append(button("SVG", () =>
      save(`figure-${number + 1}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(svg))));
  });
  const mark = () => document.querySelectorAll(".scroll").forEach((area) =>
    area.classList.toggle("wide", area.scrollWidth > area.clientWidth + 1));
  document.querySelectorAll("details").forEach((each) => each.addEventListener("toggle", mark));
  addEventListener("resize", mark);
  mark();
})();
