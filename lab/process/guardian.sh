trap '' HUP INT TERM
groups=
while read -r op pid; do
  case $op in
  +) groups="$groups $pid" ;;
  -) rest=
     for g in $groups; do [ "$g" = "$pid" ] || rest="$rest $g"; done
     groups=$rest ;;
  esac
done
for g in $groups; do kill -KILL "-$g" 2>/dev/null; done
exit 0
