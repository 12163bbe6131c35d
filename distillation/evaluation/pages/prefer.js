// One pair at a time. Every choice is stored at once, under the run, the model and the pair.
const { pairs, columns } = data;
const CHOICES = { left: "left", right: "right", tie: "tie", bad: "both bad" };
const keyOf = pair => `distill prefer ${data.run} ${data.tuned} ${pair.against} ${pair.image}`;
const choices = new Map();
for (const pair of pairs) {
  const choice = stored(keyOf(pair), value => Object.values(CHOICES).includes(value));
  if (choice) choices.set(pair, choice);
}
let place = Math.max(0, pairs.findIndex(pair => !choices.has(pair)));

function showAnswer(id, cells) {
  if (cells.length === 1 || cells.length !== columns.length) return $(id).replaceChildren(element("p", cells.join("\n")));
  const list = document.createElement("dl");
  columns.forEach((column, number) => list.append(element("dt", column), element("dd", cells[number] || "–")));
  $(id).replaceChildren(list);
}
function show() {
  const pair = pairs[place];
  showPicture(data.pictures[pair.image], pair.name);
  showAnswer("left-answer", pair.left);
  showAnswer("right-answer", pair.right);
  $("name").textContent = pair.name;
  $("position").textContent = `${place + 1} of ${pairs.length}`;
  for (const [id, choice] of Object.entries(CHOICES)) $(id).setAttribute("aria-pressed", choices.get(pair) === choice);
  $("bar").value = choices.size;
  $("counts").textContent = `${choices.size} of ${pairs.length} judged`;
}
function move(step) {
  place = Math.min(Math.max(0, place + step), pairs.length - 1);
  show();
}
function choose(choice) {
  const pair = pairs[place];
  choices.set(pair, choice);
  store.set(keyOf(pair), JSON.stringify(choice));
  say(choices.size === pairs.length ? "All pairs are judged. Download the preferences." : `Pair ${place + 1}: ${choice}.`);
  move(1);
}
function download() {
  if (!choices.size) return say("No pair is judged yet, so there is nothing to download.");
  const judgements = [...choices].map(([{ image, against }, choice]) => ({ image, against, choice }));
  const { run, tuned, equal, images } = data;
  save(`preferences-${run}.json`, JSON.stringify({ run, tuned, equal, images, judgements }, null, 1), "application/json");
  say(`The file has ${judgements.length} of ${pairs.length} pairs.`);
}

const acts = { back: () => move(-1), next: () => move(1), download };
for (const [id, choice] of Object.entries(CHOICES)) acts[id] = () => choose(choice);
for (const [id, act] of Object.entries(acts)) $(id).addEventListener("click", act);
$("reset").addEventListener("click", () => {
  if (!confirm(`Forget all ${choices.size} choices?`)) return;
  for (const pair of pairs) store.remove(keyOf(pair));
  choices.clear();
  move(-pairs.length);
});
const commands = {
  ArrowLeft: acts.left, ArrowRight: acts.right, t: acts.tie, b: acts.bad, Backspace: acts.back, n: acts.next,
};
addEventListener("keydown", event => {
  const act = commandOf(event, commands);
  if (act) { event.preventDefault(); act(); }
});
show();
