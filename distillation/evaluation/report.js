// Copy the summary; search, filter, sort and page the gallery, and open its photos. Without scripts the page shows
// every image, and none of the controls.
const $ = id => document.getElementById(id);
document.querySelectorAll("[data-scripted]").forEach(element => { element.hidden = false; });

// The clipboard needs a secure context and permission. Where it is refused, show the text and select it.
$("copy").addEventListener("click", async () => {
  const text = $("summary"), said = $("copied");
  said.textContent = "";
  try {
    await navigator.clipboard.writeText(text.value);
    said.textContent = "Copied as Markdown.";
  } catch {
    text.hidden = false;
    text.select();
    said.textContent = "The browser refused to copy. The text is selected: press Ctrl+C or ⌘C.";
  }
});

const gallery = $("gallery");
if (gallery) {
  const step = +gallery.dataset.first, cards = [...gallery.children], viewer = $("viewer"), more = $("more");
  const texts = new Map(cards.map(card => [card, card.textContent.toLowerCase()]));
  const filters = [...document.querySelectorAll("[data-filter]")];
  let matching = cards, shown = step, filter = "", timer;

  const compare = key => key === "name"
    ? (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true })
    : (a, b) => (key[0] === "-" ? -1 : 1) * (b.dataset[key.replace("-", "")] - a.dataset[key.replace("-", "")]);

  function arrange() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    matching = cards.sort(compare($("order").value)).filter(card =>
      (!filter || card.dataset.kinds.split(" ").includes(filter)) && words.every(word => texts.get(card).includes(word)));
    gallery.append(...cards);
    shown = step;
    show();
  }

  function show() {
    const visible = new Set(matching.slice(0, shown));
    for (const card of cards) card.hidden = !visible.has(card);
    photos().forEach((photo, place) => { photo.tabIndex = place ? -1 : 0; });
    gallery.classList.toggle("long", visible.size > step);
    const rest = matching.length - visible.size;
    more.parentElement.hidden = !rest;
    more.textContent = `Show ${Math.min(step, rest)} more`;
    $("shown").textContent = `${visible.size} of ${cards.length} images shown` + (rest ? `, ${matching.length} match` : "")
      + `, sorted by ${$("order").selectedOptions[0].text}.`;
  }

  const photos = () => [...gallery.querySelectorAll("li:not([hidden]) > .photo")];

  // The gallery is one tab stop; the arrow keys move within it.
  function focus(photo) {
    photos().forEach(other => { other.tabIndex = other === photo ? 0 : -1; });
    photo.focus();
  }

  function moves() {
    const columns = getComputedStyle(gallery).gridTemplateColumns.split(" ").length;
    return { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -Infinity, End: Infinity };
  }

  gallery.addEventListener("keydown", event => {
    const all = photos(), place = all.indexOf(event.target), move = moves()[event.key];
    if (place < 0 || !move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    focus(all[Math.min(all.length - 1, Math.max(0, place + move))]);
  });
  gallery.addEventListener("click", event => {
    const photo = event.target.closest(".photo");
    if (photo) open(photo);
  });

  let opened;
  function open(photo) {
    opened = photo;
    const view = viewer.querySelector(".view"), image = photo.firstElementChild.cloneNode();
    view.replaceChildren(image, photo.nextElementSibling.cloneNode(true));
    view.scrollTop = 0;
    viewer.setAttribute("aria-label", image.alt);
    const all = photos(), place = all.indexOf(photo);
    viewer.querySelector("[data-step='-1']").disabled = !place;
    viewer.querySelector("[data-step='1']").disabled = place === all.length - 1;
    if (!viewer.open) viewer.showModal();
  }
  function turn(by) {
    const all = photos(), next = all[all.indexOf(opened) + by];
    if (next) open(next);
  }
  viewer.addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) { event.preventDefault(); turn(by); }
  });
  viewer.addEventListener("click", event => {
    if (event.target === viewer || event.target.closest("[data-close]")) viewer.close();
    const by = event.target.closest("[data-step]");
    if (by) turn(+by.dataset.step);
  });
  viewer.addEventListener("close", () => focus(opened));

  more.addEventListener("click", () => {
    const before = photos().length;
    shown += step;
    show();
    const next = photos()[before];
    if (next) focus(next);
  });
  $("order").addEventListener("change", arrange);
  $("search").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(arrange, 120); });
  for (const button of filters) {
    button.addEventListener("click", () => {
      filter = button.dataset.filter;
      for (const other of filters) other.setAttribute("aria-pressed", other === button);
      arrange();
    });
  }
  arrange();
}
