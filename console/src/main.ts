// The start of the console: language and theme first, so that nothing flickers, then the page.

import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { language } from "./i18n/language.svelte";
import { theme } from "./view/theme.svelte";

const place = document.getElementById("console");
if (place === null) throw new Error("index.html has no element with the id console");
language.start(location.search);
theme.start();
mount(App, { target: place });
