//
{%- if shared %}
// A workgroup of {{ tx }} x {{ ty }} invocations owns a tile of {{ ty * tm }} x {{ tx * tn }} outputs, each invocation {{ tm }} x {{ tn }} of them;
// {{ tk }} positions of k at a time pass through workgroup memory.
{%- else %}
// An invocation owns a tile of {{ tm }} x {{ tn }} outputs, a workgroup {{ tx }} tiles; no workgroup memory, no barriers.
{%- endif %}
// Sums are f32, in ascending order of k within a split; splits are added by split_sum.
