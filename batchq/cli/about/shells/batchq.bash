# Completion of batchq for bash. Printed by "batchq completion bash".
_batchq() {
    local partial line word cut
    partial=${COMP_LINE:0:COMP_POINT}
    partial=${partial##*[[:space:]]}
    # bash also splits words at = and :, and replaces only the part after them
    cut=
    case $partial in *[=:]*) cut=${partial%"${partial##*[=:]}"} ;; esac
    local -a words
    read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
    [ -n "$partial" ] || words+=("")
    COMPREPLY=()
    while IFS= read -r line; do
        word=${line%%$'\t'*}
        word=${word#"$cut"}
        COMPREPLY+=("$(printf %q "$word")")
    done < <(batchq completion words -- "${words[@]:1}" 2>/dev/null)
}
complete -o bashdefault -o default -F _batchq batchq
