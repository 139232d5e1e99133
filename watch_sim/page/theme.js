// Light or dark: the system's, until the switch says otherwise. Runs before anything is drawn.
"use strict";
{
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = localStorage.getItem("theme");
  if (kept) document.documentElement.dataset.theme = kept;

  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const changed = () => {
    document.getElementById("theme").setAttribute("aria-pressed", String(dark()));
    dispatchEvent(new Event("theme"));
  };
  system.addEventListener("change", changed);
  addEventListener("DOMContentLoaded", () => {
    changed();
    document.getElementById("theme").addEventListener("click", () => {
      document.documentElement.dataset.theme = dark() ? "light" : "dark";
      localStorage.setItem("theme", document.documentElement.dataset.theme);
      changed();
    });
  });
}
