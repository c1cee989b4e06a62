// Number of a workgroup. Grids are folded into x and y, because no dimension may exceed 65,535;
// the last row may hold workgroups past the end, which the kernels refuse.
fn group_number(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
