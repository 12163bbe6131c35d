// What both pages need. All texts of the run are set as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);

// A browser may forbid a file to store anything; then the progress lives as long as the page.
const memory = new Map();
const store = {
  get(key) {
    try { return localStorage.getItem(key); } catch { return memory.get(key) ?? null; }
  },
  set(key, value) {
    try { localStorage.setItem(key, value); } catch { memory.set(key, value); forgets(); }
  },
  remove(key) {
    try { localStorage.removeItem(key); } catch { memory.delete(key); }
  },
};
function forgets() {
  $("forgets").hidden = false;
  addEventListener("beforeunload", event => event.preventDefault());
}
function stored(key, isValid) {
  try {
    const value = JSON.parse(store.get(key));
    return isValid(value) ? value : null;
  } catch { return null; }
}
function element(tag, text, attributes = {}) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.textContent = text;
  return made;
}
function showPicture(picture, name) {
  const image = $("picture");
  image.hidden = !picture;
  $("no-picture").hidden = Boolean(picture);
  if (picture) image.src = picture; else image.removeAttribute("src");
  image.alt = name;
}
function save(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element("a", "", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
function say(text) { $("status").textContent = text; }
// Keys of a text field, and those with Ctrl, Alt or Meta, are not commands.
function commandOf(event, commands) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("textarea, select, input")) return null;
  return commands[event.key.length === 1 ? event.key.toLowerCase() : event.key];
}
