// SPDX-License-Identifier: Apache-2.0
// Comfort only: every page works without this file.
"use strict";
(() => {
  const code = document.querySelector("[data-code]");
  if (code) {
    code.addEventListener("input", () => {
      if (code.selectionStart !== code.value.length) return;
      const symbols = code.value.toUpperCase().replace(/[\s-]/g, "");
      code.value = symbols.length > 4 ? symbols.slice(0, 4) + "-" + symbols.slice(4, 28) : symbols;
    });
  }
  const summary = document.querySelector("[data-focus]");
  if (summary) summary.focus();

  const left = document.querySelector("[data-countdown]");
  if (left) {
    const end = Date.parse(left.dateTime);
    const zh = document.documentElement.lang.startsWith("zh");
    const tick = () => {
      const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
      const clock = Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
      left.textContent = zh ? "剩余时间：" + clock : "Time left: " + clock;
    };
    tick();
    setInterval(tick, 1000);
  }
})();
