// Sorts and filters the tables of `tables.py`: a click at a header, a word in the field above.
// A number stands in its cell's `data-value`, which is empty where there is nothing: those rows stay
// last. A cell of text has none.

const in_order = new Intl.Collator("en", {numeric: true})   // layer2 before layer10

function compare(a, b, sign) {
  const missing = (a.dataset.value === "") - (b.dataset.value === "")
  if (missing) return missing
  const numbers = a.dataset.value !== undefined && b.dataset.value !== undefined
  return sign * (numbers ? a.dataset.value - b.dataset.value
    : in_order.compare(a.textContent, b.textContent))
}

for (const section of document.querySelectorAll("section")) {
  const body = section.querySelector("tbody"), heads = section.querySelectorAll("th")
  const field = section.querySelector("input"), count = section.querySelector("output")

  heads.forEach((head, column) => head.addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1
    heads.forEach((one) => one.setAttribute("aria-sort", "none"))
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending")
    const rows = Array.from(body.rows)
    rows.sort((a, b) => compare(a.cells[column], b.cells[column], sign))
    body.append(...rows)
  }))

  function filter() {
    const words = field.value.toLowerCase().split(/\s+/)
    const rows = Array.from(body.rows)
    for (const row of rows) {
      const text = Array.from(row.cells, (cell) => cell.textContent).join(" ").toLowerCase()
      row.hidden = !words.every((word) => text.includes(word))
    }
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`
  }
  field.addEventListener("input", filter)
  filter()
}
