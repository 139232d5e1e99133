// Light or dark: the system's setting, unless the user switches. Runs before anything is drawn.
"use strict";
{
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;

  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const announce = () => {
    document.getElementById("theme").textContent = `Switch to ${dark() ? "light" : "dark"}`;
    dispatchEvent(new Event("theme"));
  };
  system.addEventListener("change", announce);
  addEventListener("DOMContentLoaded", () => {
    announce();
    document.getElementById("theme").addEventListener("click", () => {
      document.documentElement.dataset.theme = dark() ? "light" : "dark";
      localStorage.setItem("theme", document.documentElement.dataset.theme);
      announce();
    });
  });
}
