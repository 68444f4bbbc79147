// Files and folders that were dropped.

/** Take what is dropped anywhere on the page; `zone` shows that it will be. `take` is given [{file, path}]. */
export function listenToDrops(zone, take) {
  const over = (on) => zone.classList.toggle("over", on);
  document.ondragover = (event) => {
    event.preventDefault();
    over(true);
  };
  document.ondragleave = (event) => event.relatedTarget === null && over(false);
  document.ondrop = async (event) => {
    event.preventDefault();
    over(false);
    take(await dropped(event.dataTransfer));
  };
}

async function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  // Both must be asked for before anything is waited for: then the drop is over.
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = await Promise.all(entries.filter(Boolean).map(filesOf));
  return found.flat();
}

async function filesOf(entry) {
  if (entry instanceof File) return [{ file: entry, path: entry.name }];
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise((take, fail) => entry.file(take, fail)).catch(() => new File([], entry.name));
    return [{ file, path }];
  }
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    // A hundred at a time.
    const some = await new Promise((take, fail) => reader.readEntries(take, fail)).catch(() => []);
    if (!some.length) break;
    all.push(...some);
  }
  all.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return (await Promise.all(all.map(filesOf))).flat();
}
