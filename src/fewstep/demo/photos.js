// A place for photos, dropped in or chosen. They are made small here, before they are sent.

import { element } from "./pad.js";

export function photos(name, { side, several, most, changed, failed }) {
  let pictures = [];
  const shown = element("ul", { class: "shown" });
  const input = element("input", { type: "file", accept: "image/*", multiple: several });
  const label = element("label", {}, several ? "Photos: drop them here or choose" : "Photo: drop it here or choose", input);
  const title = several ? element("input", { type: "text", value: name, maxlength: 40, "aria-label": `Name of ${name}` }) : "";
  const place = element("div", { class: "drop", role: "group", "aria-label": name }, title, label, shown);

  function show() {
    shown.replaceChildren(...pictures.map((picture, number) => element("li", {},
      element("img", { src: picture, alt: `${name}, picture ${number + 1}` }),
      element("button", {
        type: "button", "aria-label": `Remove picture ${number + 1} of ${name}`,
        onclick: () => { pictures.splice(number, 1); show(); changed(true); input.focus(); },
      }, "Remove"))));
  }

  async function add(files) {
    failed("");
    for (const file of files) {
      try {
        const found = await smaller(file, side);
        if (several && pictures.length >= most) failed(`${name} has ${most} pictures; more are left out`);
        else pictures = several ? [...pictures, found] : [found];
      } catch {
        failed(`${file.name} is no picture that this browser can read`);
      }
    }
    show();
    changed(true);
  }

  input.addEventListener("change", async () => { await add([...input.files]); input.value = ""; });
  title && title.addEventListener("input", () => changed(true));
  place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    add([...event.dataTransfer.files]);
  });
  return {
    figure: place,
    get empty() { return !pictures.length; },
    get pictures() { return pictures; },
    get name() { return title ? title.value || name : name; },
  };
}

// The whole photo, turned as it was held, with its shorter side as long as is needed.
async function smaller(file, side) {
  const image = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, side / Math.min(image.width, image.height), 1000 / Math.max(image.width, image.height));
  const canvas = element("canvas", { width: Math.max(1, Math.round(scale * image.width)), height: Math.max(1, Math.round(scale * image.height)) });
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // what is transparent becomes white
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92);
}
