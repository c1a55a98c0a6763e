# Runs a server that does not outlive its owner: sh leash.sh program arguments…
#
# The owner holds the other end of our standard input. When it closes that end, or dies
# in whatever way, `read` returns and the server is stopped: politely (SIGINT, a fast
# shutdown), then firmly (SIGQUIT). We wait for the server, so it leaves no zombie.
exec 3<&0 </dev/null
trap '' HUP TERM
"$@" 3<&- &
server=$!
(
    read -r _ <&3
    kill -INT "$server" 2>/dev/null
    tenths=0
    while [ "$tenths" -lt 100 ]; do
        sleep 0.1
        kill -0 "$server" 2>/dev/null || exit 0
        tenths=$((tenths + 1))
    done
    kill -QUIT "$server" 2>/dev/null
) &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill -KILL "$watcher" 2>/dev/null
exit "$status"
