// SPDX-License-Identifier: Apache-2.0
// Comfort only: the form has a button.
"use strict";
document.querySelector("form[data-submit]")?.submit();
