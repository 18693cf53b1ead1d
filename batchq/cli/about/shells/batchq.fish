# Completion of batchq for fish. Printed by "batchq completion fish".
function __batchq_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (batchq completion words -- $words[2..] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c batchq -f -a '(__batchq_complete)'
