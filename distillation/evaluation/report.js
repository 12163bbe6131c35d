// Sort the gallery. Without scripts the page shows the same images unsorted.
const order = document.getElementById("order"), gallery = document.getElementById("gallery");
function sort(spoken) {
  const down = order.value[0] !== "-", key = order.value.replace("-", "");
  const cards = [...gallery.children].sort((a, b) => key === "name"
    ? a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true })
    : (down ? 1 : -1) * (b.dataset[key] - a.dataset[key]));
  gallery.append(...cards);
  if (spoken) document.getElementById("sorted").textContent = "Sorted by " + order.selectedOptions[0].text + ".";
}
if (order) { order.addEventListener("change", () => sort(true)); sort(false); }
