// One image at a time. Every decision is stored at once, under the run and the image.
const { items, columns } = data;
const keyOf = item => `distill review ${data.run} ${item.image}`;
const othersKey = `distill review ${data.run} other rows`;
const isCells = cells => Array.isArray(cells) && cells.length === columns.length && cells.every(c => typeof c === "string");
const isDecision = value => typeof value?.use === "boolean" && isCells(value.cells);
const isRow = row => Array.isArray(row) && row.every(c => typeof c === "string") && row.length === columns.length + 2;
const decisions = new Map();
for (const item of items) {
  const decision = stored(keyOf(item), isDecision);
  if (decision) decisions.set(item, decision);
}
// Rows that this page does not decide: the owner's, then those of an added file.
const others = new Map(data.others.map(row => [row[0], row]));
for (const row of stored(othersKey, rows => Array.isArray(rows) && rows.every(isRow)) ?? []) others.set(row[0], row);

let list = items, place = Math.max(0, items.findIndex(item => !decisions.has(item) && !item.own));
const inputs = columns.map(column => {
  const label = element("label", "", { className: "field" });
  const input = document.createElement(column in data.choices ? "select" : "textarea");
  label.append(element("span", columns.length > 1 ? column : "Label"), input);
  $("fields").append(label);
  return input;
});

const same = (left, right) => left.every((cell, number) => cell === right[number]);
const isBlank = cells => cells.every(cell => !cell.trim());
function stateOf(item) {
  const decision = decisions.get(item);
  if (!decision) return "open";
  if (!decision.use) return "rejected";
  return same(decision.cells, item.cells) ? "accepted" : "edited";
}
function decide(item, decision) {
  if (decision) {
    decisions.set(item, decision);
    store.set(keyOf(item), JSON.stringify(decision));
  } else {
    decisions.delete(item);
    store.remove(keyOf(item));
  }
  showState();
}
function fill(input, column, value) {
  if (column in data.choices) {
    const choices = data.choices[column];
    const blank = choices.includes(value) ? [] : [""];
    input.replaceChildren(...[...blank, ...choices].map(choice => element("option", choice || "choose", { value: choice })));
  }
  input.value = value;
  if (input.rows) input.rows = Math.min(8, (columns.length > 1 ? 1 : 2) + Math.floor(value.length / 50));
}
function show() {
  const item = list[place];
  $("item").hidden = !item;
  $("none").hidden = Boolean(item);
  if (item) {
    const cells = decisions.get(item)?.cells ?? item.cells;
    columns.forEach((column, number) => fill(inputs[number], column, cells[number]));
    showPicture(item.picture, item.name);
    $("name").textContent = item.name;
    $("position").textContent = `${place + 1} of ${list.length}`;
    $("problem").hidden = !item.refused;
    $("problem").textContent = item.refused ? `No valid label: ${item.refused}` : "";
    const notes = item.own ? ["your own label"] : item.notes;
    $("notes").textContent = notes.length ? `Look closely: ${notes.join("; ")}.` : "";
    if (item.own) $("notes").textContent = "This is your own label.";
  }
  showState();
}
function showState() {
  const item = list[place], state = item && stateOf(item);
  $("accept").setAttribute("aria-pressed", state === "accepted");
  $("edit").setAttribute("aria-pressed", state === "edited");
  $("reject").setAttribute("aria-pressed", state === "rejected");
  const counts = { accepted: 0, edited: 0, rejected: 0 };
  for (const each of decisions.keys()) counts[stateOf(each)]++;
  $("bar").value = decisions.size;
  $("counts").textContent = `${decisions.size} of ${items.length} reviewed: ${counts.accepted} accepted, `
    + `${counts.edited} edited, ${counts.rejected} rejected`;
}
function move(step) {
  place = Math.min(Math.max(0, place + step), list.length - 1);
  show();
}
function accept() {
  const item = list[place], cells = inputs.map(input => input.value);
  if (isBlank(cells)) return say("A label cannot be empty. Write one, or reject the photo.");
  if (item.refused && same(cells, item.cells)) return say("This is no valid label. Edit it, or reject the photo.");
  decide(item, { use: true, cells });
  say(`${item.name}: ${stateOf(item)}.`);
  move(1);
}
function reject() {
  const item = list[place];
  decide(item, { use: false, cells: decisions.get(item)?.cells ?? item.cells });
  say(`${item.name}: rejected.`);
  move(1);
}
function edit() { inputs[0].focus(); inputs[0].select?.(); }
function edited() {
  const item = list[place], cells = inputs.map(input => input.value);
  if (!isBlank(cells)) return decide(item, { use: true, cells });
  decide(item, null);
  say("A label cannot be empty. Write one, or reject the photo.");
}

// CSV: a text that a spreadsheet would read as a formula begins with an apostrophe, which the run removes.
const formula = "[=+\\-@\\t\\r\\n\\uff1d\\uff0b\\uff0d\\uff20]";
const needsMark = new RegExp(`(?<![^;])(?=[ ']*${formula})`, "g");
const hasMark = new RegExp(`(?<![^;])'(?=[ ']*${formula})`, "g");
const csvCell = text => `"${text.replace(needsMark, "'").replaceAll('"', '""')}"`;
function csvRows() {
  // A decision goes before an added file, which goes before the owner's labels.
  const decided = [...decisions].map(([item, { use, cells }]) => [item.photo, [item.photo, ...cells, use ? "yes" : "no"]]);
  return [...new Map([...others, ...decided]).values()];
}
function download() {
  const rows = csvRows();
  if (!rows.length) return say("Nothing is reviewed yet, so there is nothing to download.");
  const lines = [["photo", ...columns, "use"], ...rows].map(row => row.map(csvCell).join(","));
  // The byte order mark tells Excel that the file is UTF-8.
  save("labels.csv", `\ufeff${lines.join("\r\n")}\r\n`, "text/csv");
  const rejected = rows.filter(row => row.at(-1) === "no").length;
  say(`labels.csv has ${rows.length - rejected} labels and ${rejected} rejected photos. Put it beside the photos.`);
}
function parseCsv(text) {
  const delimiter = [",", ";", "\t"].find(each => text.split("\n", 1)[0].includes(each)) ?? ",";
  const rows = [[]];
  let cell = "", quoted = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') { cell += '"'; at++; } else quoted = false;
    } else if (letter === '"' && !cell) quoted = true;
    else if (letter === delimiter || letter === "\n") {
      rows.at(-1).push(letter === "\n" ? cell.replace(/\r$/, "") : cell);
      cell = "";
      if (letter === "\n") rows.push([]);
    } else cell += letter;
  }
  if (cell || rows.at(-1).length) rows.at(-1).push(cell.replace(/\r$/, ""));
  if (quoted) throw new Error("a quotation mark is not closed");
  return rows.filter(row => row.length > 1);
}
function readRows(text) {
  const [header = [], ...rows] = parseCsv(text.replace(/^\ufeff/, ""));
  const names = header.map(name => name.trim().toLowerCase());
  const [photo, use, ...cells] = ["photo", "use", ...columns.map(name => name.toLowerCase())].map(name => names.indexOf(name));
  if (photo < 0 || cells.includes(-1)) {
    throw new Error(`its first line must name ${["photo", ...columns].join(", ")}. Save it as CSV UTF-8`);
  }
  return rows.map((row, number) => {
    if (row.length !== header.length) throw new Error(`row ${number + 2} has ${row.length} fields, not ${header.length}`);
    const unmarked = row.map(cell => cell.replace(hasMark, ""));
    const content = use < 0 ? "yes" : unmarked[use].trim().toLowerCase() || "yes";
    if (!["yes", "true", "no", "false"].includes(content)) throw new Error(`row ${number + 2} has use ${content}`);
    return [unmarked[photo], ...cells.map(each => unmarked[each]), ["no", "false"].includes(content) ? "no" : "yes"];
  });
}
// Excel saves "Unicode text" as UTF-16 with a byte order mark.
async function textOf(file) {
  const content = await file.arrayBuffer(), [first, second] = new Uint8Array(content);
  const encoding = first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(content);
}
// A photo's name may have another Unicode form, or that of a table, without invisible characters.
const formOf = name => name.trim().normalize("NFC");
const byPhoto = new Map(items.map(item => [formOf(item.photo), item]));
const byName = Map.groupBy ? Map.groupBy(items, item => formOf(item.name)) : new Map();
function itemOf(photo) {
  const named = byName.get(formOf(photo)) ?? [];
  return byPhoto.get(formOf(photo)) ?? (named.length === 1 ? named[0] : undefined);
}
async function add(file) {
  let rows;
  try {
    rows = readRows(await textOf(file));
  } catch (error) {
    return say(`${file.name} is not used: ${error.message}.`);
  }
  let taken = 0;
  for (const row of rows) {
    const [photo, ...rest] = row, item = itemOf(photo), cells = rest.slice(0, -1), isUsed = rest.at(-1) === "yes";
    if (!item) others.set(photo, row);
    // What was decided on this page stays.
    else if (!decisions.has(item) && !(isUsed && isBlank(cells))) {
      decide(item, { use: isUsed, cells: isBlank(cells) ? item.cells : cells });
      taken++;
    }
  }
  store.set(othersKey, JSON.stringify([...others.values()]));
  show();
  say(`${file.name}: ${rows.length} rows, of which ${taken} are decisions about images on this page.`);
}

$("download").addEventListener("click", download);
$("open").addEventListener("change", async event => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) await add(file);
});
$("filter").addEventListener("change", event => {
  const wanted = event.target.value;
  list = wanted === "all" ? items : items.filter(item => stateOf(item) === wanted);
  place = 0;
  show();
});
$("reset").addEventListener("click", () => {
  if (!confirm(`Forget all ${decisions.size} decisions on this page?`)) return;
  for (const item of [...decisions.keys()]) decide(item, null);
  move(-items.length);
});
for (const [id, act] of Object.entries({ accept, edit, reject, previous: () => move(-1), next: () => move(1) })) {
  $(id).addEventListener("click", act);
}
const commands = { a: accept, e: edit, r: reject, ArrowLeft: () => move(-1), ArrowRight: () => move(1) };
addEventListener("keydown", event => {
  const act = list[place] && commandOf(event, commands);
  if (act) { event.preventDefault(); act(); }
});
for (const input of inputs) {
  input.addEventListener("input", edited);
  input.addEventListener("keydown", event => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !event.ctrlKey) {
      event.preventDefault();
      input.blur();
      accept();
    } else if (event.key === "Escape") {
      decide(list[place], null);
      input.blur();
      show();
    }
  });
}
show();
