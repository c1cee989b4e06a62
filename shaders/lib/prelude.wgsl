{%- if run %}{% include "lib/run.wgsl" %}{% endif %}
{% include "lib/grid.wgsl" %}
{%- if math %}
{% include "lib/math.wgsl" %}{% endif %}
{%- if random %}
{% include "lib/random.wgsl" %}{% endif -%}
