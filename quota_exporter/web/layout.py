"""The frame that all pages share: head, style, links between them."""

from __future__ import annotations

from quota_exporter.web.markup import Html, element

# Relative, so that they hold behind a proxy that serves the exporter below a path of its own.
_PAGES = {"Overview": "./", "Status": "./quota_status", "Config": "./config"}

_STYLE = Html("""
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #fff; --text: #1b1f24; --muted: #57606a; --line: #d8dee4; --link: #0757b8;
  --good: #1a7f37; --low: #b35900; --bad: #c2202c; --bad-ground: #fff0f0; --note-ground: #fff8e5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1116; --card: #171b22; --text: #e6e9ed; --muted: #9aa4af; --line: #2f3640; --link: #79b8ff;
    --good: #3fb950; --low: #e0912f; --bad: #ff7b72; --bad-ground: #2c1719; --note-ground: #2a2313;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
body > * { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
body > header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; padding-top: 1rem; }
nav a { margin-right: 1rem; }
nav a[aria-current] { color: inherit; font-weight: 600; text-decoration: none; }
main { padding-bottom: 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1.25rem 0 .5rem; }
h2 { font-size: 1.125rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; }
a { color: var(--link); }
code, pre { font: .875em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; overflow-x: auto;
  overflow-wrap: normal; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--muted); padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .375rem 1rem .375rem 0; border-top: 1px solid var(--line);
  font-weight: normal; overflow-wrap: anywhere; }
thead th { color: var(--muted); font-size: .875rem; border-top: 0; padding-bottom: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: .5rem 0; }
dt, .muted, small { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.gateway { background: var(--card); border: 1px solid var(--line); border-left: .25rem solid var(--line);
  border-radius: .5rem; padding: .75rem 1rem; margin: .75rem 0; content-visibility: auto;
  contain-intrinsic-size: auto 12rem; }
.gateway.bad { border-left-color: var(--bad); }
.gateway.low { border-left-color: var(--low); }
.gateway.good { border-left-color: var(--good); }
.gateway > header { display: flex; flex-wrap: wrap; gap: 0 .75rem; align-items: baseline; margin-bottom: .25rem; }
.gateway h2 { margin: 0; }
.gateway h2 a { color: inherit; text-decoration: none; }
.gateway h2 a:hover { text-decoration: underline; }
.gateway > header > :last-child { margin-left: auto; }
.state { font-weight: 600; color: var(--muted); }
.bad .state { color: var(--bad); }
.good .state { color: var(--good); }
.low .state { color: var(--low); }
.alert, .note { border-radius: .375rem; padding: .5rem .75rem; margin: .5rem 0; background: var(--note-ground);
  overflow-wrap: anywhere; }
.alert { background: var(--bad-ground); }
.alert p { margin: 0; }
ul { margin: 0; padding-left: 1.25rem; }
tbody th, tbody th code { overflow-wrap: normal; }
.buckets th { overflow-wrap: anywhere; }
.buckets { table-layout: fixed; }
.buckets th:first-child { width: 20%; }
.buckets th:last-child { width: 28%; }
.buckets td:last-child, .buckets th:last-child { padding-right: 0; }
.buckets small { display: block; }
time { white-space: nowrap; }
.buckets time { white-space: normal; }
summary { color: var(--muted); cursor: pointer; font-size: .875rem; overflow-wrap: anywhere; }
meter { display: block; width: 100%; height: .625rem; margin: .375rem 0 .125rem; appearance: none; border: 0;
  border-radius: .3rem; background: var(--line); overflow: hidden; }
meter::-webkit-meter-inner-element { height: 100%; grid-template-rows: 0 [line1] 100% [line2] 0; }
meter::-webkit-meter-bar { border: 0; background: var(--line); }
meter::-webkit-meter-optimum-value { background: var(--good); }
meter::-webkit-meter-suboptimum-value { background: var(--low); }
meter::-webkit-meter-even-less-good-value { background: var(--bad); }
meter::-moz-meter-bar { background: var(--good); }
meter:-moz-meter-sub-optimum::-moz-meter-bar { background: var(--low); }
meter:-moz-meter-sub-sub-optimum::-moz-meter-bar { background: var(--bad); }
@media (max-width: 40rem) {
  dl { display: block; }
  dt { font-size: .875rem; }
  dd { margin-bottom: .375rem; }
  th, td { padding-right: .625rem; }
  .buckets { font-size: .9375rem; }
}
""")


def page(title: str, *content: str) -> str:
    """Return a whole document; `title` is also its heading and, where it is one, the name of the current page."""
    links = [
        element("a", name, href=href, aria_current="page" if name == title else None) for name, href in _PAGES.items()
    ]
    head = element(
        "head",
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{title} - quota-exporter"),
        element("style", _STYLE),
    )
    body = element(
        "body",
        element("header", element("strong", "quota-exporter"), element("nav", *links, aria_label="Pages")),
        element("main", element("h1", title), *content),
    )
    # a file name from the system may hold what UTF-8 cannot
    html = element("html", head, body, lang="en").encode("utf-8", "replace").decode()
    return f"<!doctype html>\n{html}\n"
