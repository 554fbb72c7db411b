#!/bin/bash
# What systemd does with the two units, as far as the pages ask for it: Exec lines, conditions, Type=notify, the journal.
set -e
verb=$1 name=${2%.service}
unit="$PICKET_UNITS/$name.service" log="/var/log/journal.$name" pid="/run/$name.pid"
lines() { sed -n "s|^$1=||p" "$unit"; }
runs() { [ -s "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; }
stop() {
  if runs; then
    kill -TERM "$(cat "$pid")"
    # The first process of this machine does not collect what has ended.
    while grep -q '^State:[^Z]*$' "/proc/$(cat "$pid")/status" 2> /dev/null; do sleep 0.1; done
  fi
  rm -f "$pid"
}
start() {
  [ -e "$(lines ConditionPathExists)" ] && [ -n "$(ls "$(lines ConditionDirectoryNotEmpty)")" ]
  install -d -m 750 "/run/$name" "/var/lib/$name"
  words=$(lines ExecStart)
  setsid ${words#/usr/bin/} >> "$log" 2>&1 < /dev/null &
  echo $! > "$pid"
  for _ in $(seq 600); do
    "$name" status > /dev/null 2>&1 && return
    runs || break
    sleep 0.1
  done
  cat "$log" >&2
  return 1
}
case "$verb" in
start) runs || start ;;
stop) stop ;;
restart) stop; start ;;
reload) lines ExecReload | while read -r words; do words=${words#/usr/bin/}; ${words/\$MAINPID/$(cat "$pid")}; done ;;
daemon-reload) ;;
*) echo "systemctl $verb is not known here" >&2; exit 64 ;;
esac
