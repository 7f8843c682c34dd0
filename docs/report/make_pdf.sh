#!/usr/bin/env bash
# docs/report/report.pdf from README.md. Needs Debian's python3-markdown and chromium.
set -euo pipefail
cd "$(dirname "$0")"
page=$(mktemp --suffix=.html)
trap 'rm -f "$page"' EXIT
{
  echo '<!doctype html><meta charset="utf-8"><style>
    @page { size: A4; margin: 18mm 16mm }
    body { font: 9.5pt/1.4 sans-serif; color: #1a1f29 }
    h1 { font-size: 16pt } h2 { font-size: 12pt; margin-top: 1.4em }
    table { border-collapse: collapse; font-size: 8.5pt; page-break-inside: avoid }
    td, th { padding: .15em .7em .15em 0; text-align: left; border-bottom: 1px solid #ddd }
    pre { background: #f5f5f3; padding: .5em; font-size: 8pt }
    a { color: inherit; text-decoration: none }</style>'
  /usr/bin/python3 -m markdown -x tables README.md
} > "$page"
chromium --headless --no-sandbox --disable-gpu --no-pdf-header-footer \
  --print-to-pdf="$PWD/report.pdf" "file://$page"
