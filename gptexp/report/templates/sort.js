for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const order = (row) => row.cells[column].dataset.order ?? "";
      const compare = (a, b) => {
        const [x, y] = [order(a), order(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const gap = Number(x) - Number(y);
        return (Number.isNaN(gap) ? x.localeCompare(y) : gap) * (up ? 1 : -1);
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
