/* From the picture to the VMs: which are watched, by which rule, how the pool says they are, and
 * where they are asked. A change is noticed by comparing with what was seen before: events are
 * hints. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/monitor_state.h"

enum { TABLE_FIRST = 1024, ROOM_FIRST = 64, RESUME_PART = 3, MOVE_PART = 6, WORK_PART = 18 };

void vt_remark(struct vt_remarks *remarks, const char *format, ...)
{
    struct vt_remark *remark = &remarks->items[remarks->next++ % VT_REMARKS_KEPT];
    va_list args;

    remark->at = vt_clock_wall();
    va_start(args, format);
    vsnprintf(remark->text, sizeof remark->text, format, args);
    va_end(args);
}

/* ---- tables of references ---- */

static uint32_t hash(const char *ref)
{
    uint32_t value = 2166136261u;

    for (; *ref; ref++)
        value = (value ^ (unsigned char)*ref) * 16777619u;
    return value;
}

uint32_t vt_vm_by_ref(const struct vt_monitor *monitor, const char *ref)
{
    if (monitor->table_size == 0)
        return VT_NO_VM;
    uint32_t at = monitor->by_ref[hash(ref) % monitor->table_size];
    while (at != VT_NO_VM && strcmp(monitor->vms[at].ref, ref) != 0)
        at = monitor->vms[at].next_by_ref;
    if (at != VT_NO_VM)
        return at;
    at = monitor->by_guest[hash(ref) % monitor->table_size];
    while (at != VT_NO_VM && strcmp(monitor->vms[at].guest_ref, ref) != 0)
        at = monitor->vms[at].next_by_guest;
    return at;
}

uint32_t vt_vm_by_uuid(const struct vt_monitor *monitor, const char *uuid)
{
    for (uint32_t i = 0; i < monitor->vm_count; i++)
        if (monitor->vms[i].used && strcmp(monitor->vms[i].uuid, uuid) == 0)
            return i;
    return VT_NO_VM;
}

static void link_vm(struct vt_monitor *monitor, uint32_t index)
{
    struct vt_watched *vm = &monitor->vms[index];
    uint32_t *by_ref = &monitor->by_ref[hash(vm->ref) % monitor->table_size];
    uint32_t *by_guest = &monitor->by_guest[hash(vm->guest_ref) % monitor->table_size];

    vm->next_by_ref = *by_ref;
    *by_ref = index;
    vm->next_by_guest = *by_guest;
    *by_guest = index;
}

/* All anew: behind changes of references, which are rare, when the table grew, when VMs went. */
static void link_all(struct vt_monitor *monitor)
{
    for (uint32_t i = 0; i < monitor->table_size; i++)
        monitor->by_ref[i] = monitor->by_guest[i] = VT_NO_VM;
    for (uint32_t i = 0; i < monitor->vm_count; i++)
        if (monitor->vms[i].used)
            link_vm(monitor, i);
}

static bool grow(struct vt_monitor *monitor)
{
    uint32_t room = monitor->vm_room ? monitor->vm_room * 2 : ROOM_FIRST;
    uint32_t size = room > TABLE_FIRST ? room : TABLE_FIRST;
    struct vt_watched *vms = reallocarray(monitor->vms, room, sizeof *vms);

    if (vms)
        monitor->vms = vms;
    uint32_t *by_ref = calloc(size, sizeof *by_ref), *by_guest = calloc(size, sizeof *by_guest);
    if (!vms || !by_ref || !by_guest) {
        free(by_ref);
        free(by_guest);
        return false;
    }
    memset(vms + monitor->vm_room, 0, (room - monitor->vm_room) * sizeof *vms);
    monitor->vm_room = room;
    free(monitor->by_ref);
    free(monitor->by_guest);
    monitor->by_ref = by_ref;
    monitor->by_guest = by_guest;
    monitor->table_size = size;
    link_all(monitor);
    return true;
}

void vt_sweep_forget(struct vt_monitor *monitor, uint32_t index)
{
    monitor->vms[index].used = false;
    monitor->free_places++;
    monitor->vms[index].ref[0] = monitor->vms[index].guest_ref[0] = '\0';
}

void vt_sweep_forgotten(struct vt_monitor *monitor)
{
    link_all(monitor);
}

/* A place for a VM; VT_NO_VM without memory, or beyond the limit. */
static uint32_t take_place(struct vt_monitor *monitor)
{
    for (uint32_t i = 0; i < monitor->vm_count && monitor->free_places > 0; i++)
        if (!monitor->vms[i].used) {
            monitor->free_places--;
            return i;
        }
    if (monitor->vm_count == VT_MONITOR_VMS_MAX)
        return VT_NO_VM;
    if (monitor->vm_count == monitor->vm_room && !grow(monitor))
        return VT_NO_VM;
    return monitor->vm_count++;
}

/* ---- hosts and networks by number ---- */

static uint16_t network_index(struct vt_monitor *monitor, const char *ref)
{
    for (unsigned i = 0; i < monitor->network_count; i++)
        if (strcmp(monitor->networks[i].ref, ref) == 0)
            return (uint16_t)i;
    if (!*ref || monitor->network_count == VT_NETWORKS_MAX)
        return VT_NO_INDEX;
    struct vt_network *network = &monitor->networks[monitor->network_count];
    snprintf(network->ref, sizeof network->ref, "%s", ref);
    return (uint16_t)monitor->network_count++;
}

static uint16_t host_index(const struct vt_monitor *monitor, const char *ref)
{
    for (unsigned i = 0; i < VT_MONITOR_HOSTS_MAX; i++)
        if (monitor->beacons[i].used && strcmp(monitor->beacons[i].ref, ref) == 0)
            return (uint16_t)i;
    return VT_NO_INDEX;
}

static void ask_beacon(struct vt_monitor *monitor, unsigned index, enum vt_probe_kind kind,
                       uint16_t port)
{
    struct vt_beacon *beacon = &monitor->beacons[index];
    const struct vt_watch_settings *settings = &monitor->options.settings;
    struct vt_err ignored = { 0 };
    struct vt_probe_target target = { .kind = kind,
                                      .port = port,
                                      .address_count = beacon->address.family != 0,
                                      .addresses = { beacon->address },
                                      .interval = settings->interval,
                                      .timeout = settings->timeout,
                                      .tag = beacon->tag };

    vt_probes_put(monitor->probes, index, &target, &ignored);
}

static void put_host(struct vt_monitor *monitor, const struct vt_object *host)
{
    uint16_t index = host_index(monitor, vt_object_ref(host));
    struct vt_probe_address address = { 0 };

    for (uint16_t i = 0; index == VT_NO_INDEX && i < VT_MONITOR_HOSTS_MAX; i++)
        if (!monitor->beacons[i].used)
            index = i;
    if (index == VT_NO_INDEX)
        return;
    struct vt_beacon *beacon = &monitor->beacons[index];
    vt_probe_address_parse(vt_object_text(host, "address"), &address);
    if (!beacon->used || memcmp(&beacon->address, &address, sizeof address) != 0) {
        *beacon = (struct vt_beacon){ .used = true, .tag = ++monitor->next_tag };
        snprintf(beacon->ref, sizeof beacon->ref, "%s", vt_object_ref(host));
        beacon->address = address;
    }
    ask_beacon(monitor, index, VT_PROBE_TCP, monitor->options.host_port);
}

static void put_anchors(struct vt_monitor *monitor)
{
    for (unsigned i = 0; i < VT_MONITOR_ANCHORS_MAX; i++) {
        struct vt_beacon *beacon = &monitor->beacons[VT_MONITOR_HOSTS_MAX + i];
        const struct vt_monitor_anchor *anchor = &monitor->options.anchors[i];
        if (i >= monitor->options.anchor_count) {
            vt_probes_remove(monitor->probes, VT_MONITOR_HOSTS_MAX + i);
            beacon->used = false;
            continue;
        }
        if (!beacon->used || memcmp(&beacon->address, &anchor->address, sizeof anchor->address))
            *beacon = (struct vt_beacon){
                .used = true, .anchor = true, .address = anchor->address, .tag = ++monitor->next_tag
            };
        ask_beacon(monitor, VT_MONITOR_HOSTS_MAX + i, anchor->port ? VT_PROBE_TCP : VT_PROBE_ICMP,
                   anchor->port);
    }
}

static void sweep_hosts(struct vt_monitor *monitor, const struct vt_picture *picture)
{
    for (unsigned i = 0; i < VT_MONITOR_HOSTS_MAX; i++) {
        struct vt_beacon *beacon = &monitor->beacons[i];
        if (beacon->used && !vt_picture_get(picture, beacon->ref)) {
            vt_probes_remove(monitor->probes, i);
            *beacon = (struct vt_beacon){ .used = false };
        }
    }
    VT_PICTURE_EACH(picture, VT_CLASS_HOST, host)
    put_host(monitor, host);
    put_anchors(monitor);
}

/* ---- addresses ---- */

/* Not reachable from here without naming an interface. */
static bool is_link_local(const struct vt_probe_address *address)
{
    return address->family == AF_INET6 ? address->bytes[0] == 0xfe && address->bytes[1] >> 6 == 2
                                       : address->bytes[0] == 169 && address->bytes[1] == 254;
}

static bool has_address(const struct vt_probe_address *list, uint8_t count,
                        const struct vt_probe_address *address)
{
    for (uint8_t i = 0; i < count; i++)
        if (memcmp(&list[i], address, sizeof *address) == 0)
            return true;
    return false;
}

/* The guest says under several keys ("0/ip", "0/ipv4/0", "1/ipv6/2"): all values that are
 * addresses. */
static uint8_t guest_addresses(const struct vt_object *metrics,
                               struct vt_probe_address out[static VT_PROBE_ADDRESSES_MAX])
{
    const char *const *texts = NULL;
    size_t count = metrics ? vt_object_list(metrics, "networks", &texts) : 0;
    uint8_t found = 0;

    for (size_t i = 1; i < count && found < VT_PROBE_ADDRESSES_MAX; i += 2) {
        struct vt_probe_address address;
        if (vt_probe_address_parse(texts[i], &address) && !is_link_local(&address) &&
            !has_address(out, found, &address))
            out[found++] = address;
    }
    return found;
}

/* A VM that is lost stays so until it answers. */
static void hear_anew(struct vt_watched *vm)
{
    if (vm->incident == 0)
        vt_detector_reset(&vm->detector);
}

static void take_addresses(struct vt_watched *vm, const struct vt_probe_address *list,
                           uint8_t count, bool configured)
{
    vm->withdrawn = !configured && count == 0 && vm->address_count > 0;
    if (vm->withdrawn)
        return; /* the last ones are asked on */
    bool same_list =
        count == vm->address_count && memcmp(list, vm->addresses, count * sizeof *list) == 0;
    if (same_list)
        return;
    if (vm->address_count > 0) {
        char text[VT_PROBE_ADDRESS_TEXT_MAX];
        vt_remark(&vm->remarks, "address is %s now", vt_probe_address_text(&list[0], text));
    }
    memcpy(vm->addresses, list, count * sizeof *list);
    vm->address_count = count;
    hear_anew(vm);
}

static void find_addresses(struct vt_watched *vm, const struct vt_object *metrics)
{
    struct vt_probe_address list[VT_PROBE_ADDRESSES_MAX] = { 0 };

    if (vm->settings->address_count > 0)
        take_addresses(vm, vm->settings->addresses, vm->settings->address_count, true);
    else
        take_addresses(vm, list, guest_addresses(metrics, list), false);
}

static void ask_vm(struct vt_monitor *monitor, uint32_t index)
{
    struct vt_watched *vm = &monitor->vms[index];
    const struct vt_watch_settings *settings = vm->settings;
    bool running = vm->power == 0 || vm->power == VT_POWER_RUNNING;
    struct vt_err ignored = { 0 };
    struct vt_probe_target target = { .kind = settings->kind,
                                      .port = settings->port,
                                      .interval = settings->interval,
                                      .timeout = settings->timeout,
                                      .tag = vm->tag };

    target.address_count = running ? vm->address_count : 0;
    memcpy(target.addresses, vm->addresses, sizeof target.addresses);
    snprintf(target.peer, sizeof target.peer, "%s", settings->ae_title);
    vt_probes_put(monitor->probes, VT_BEACONS_MAX + index, &target, &ignored);
}

/* ---- one VM ---- */

static void settle(struct vt_watched *vm, enum vt_settling why, int64_t ns)
{
    int64_t until = vt_clock_mono() + ns;

    if (until < vm->settles)
        return;
    vm->settling = why;
    vm->settles = until;
}

static void note_power(struct vt_watched *vm, int power)
{
    bool rests = vm->power == VT_POWER_SUSPENDED || vm->power == VT_POWER_PAUSED;

    vt_remark(&vm->remarks, "power state %s, before %s", vt_power_name((enum vt_power)power),
              vt_power_name((enum vt_power)vm->power));
    if (power == VT_POWER_RUNNING)
        settle(vm, rests ? VT_SETTLING_RESUME : VT_SETTLING_START,
               rests ? vm->settings->grace / RESUME_PART : vm->settings->grace);
    vt_detector_reset(&vm->detector);
}

static void note_move(struct vt_watched *vm)
{
    vt_remark(&vm->remarks, "moved to another host");
    settle(vm, VT_SETTLING_MOVE, vm->settings->grace / MOVE_PART);
    hear_anew(vm);
}

/* A new domain on the same host: it was rebooted, from inside perhaps. */
static void note_reboot(struct vt_watched *vm)
{
    vt_remark(&vm->remarks, "rebooted");
    settle(vm, VT_SETTLING_START, vm->settings->grace);
    hear_anew(vm);
}

static void find_work(struct vt_watched *vm, const struct vt_object *object)
{
    const char *const *texts = NULL;
    size_t count = vt_object_list(object, "current_operations", &texts);
    bool working = false, moving = false, keeping = false;

    for (size_t i = 1; i < count; i += 2) {
        enum vt_doing doing = vt_doing_of(texts[i]);
        moving |= doing == VT_DOING_MIGRATION;
        working |= doing == VT_DOING_OTHER;
        keeping |= strcmp(texts[i], "snapshot") == 0 || strcmp(texts[i], "checkpoint") == 0;
        if (doing != VT_DOING_NOTHING && !vm->working && !vm->moving)
            vt_remark(&vm->remarks, "operation %s began", texts[i]);
    }
    if ((vm->working || vm->moving) && !working && !moving) {
        vt_remark(&vm->remarks, "operation ended");
        settle(vm, vm->moving ? VT_SETTLING_MOVE : VT_SETTLING_WORK,
               vm->settings->grace / (vm->moving ? MOVE_PART : WORK_PART));
        hear_anew(vm);
    }
    vm->working = working;
    vm->moving = moving;
    vm->keeping = keeping;
}

/* A checkpoint suspends the guest and resumes it: that is no change of its power. */
static int power_of(const struct vt_watched *vm, const struct vt_object *object)
{
    int power = (int)vt_power_from(vt_object_text(object, "power_state"));
    bool rests = power == VT_POWER_SUSPENDED || power == VT_POWER_PAUSED;

    return rests && vm->keeping && vm->power == VT_POWER_RUNNING ? VT_POWER_RUNNING : power;
}

static void find_interfaces(struct vt_monitor *monitor, const struct vt_picture *picture,
                            struct vt_watched *vm, const struct vt_object *object)
{
    const char *const *vifs = NULL;
    size_t count = vt_object_list(object, "VIFs", &vifs), seen = 0, attached = 0, locked = 0;

    vm->network = VT_NO_INDEX;
    for (size_t i = 0; i < count; i++) {
        const struct vt_object *vif = vt_picture_get(picture, vifs[i]);
        if (!vif)
            continue;
        if (seen++ == 0)
            vm->network = network_index(monitor, vt_object_text(vif, "network"));
        attached += vt_object_bool(vif, "currently_attached");
        locked += strcmp(vt_object_text(vif, "locking_mode"), "disabled") == 0;
    }
    vm->unplugged = seen > 0 && attached == 0;
    vm->blocked = seen > 0 && locked == seen;
}

static void see(struct vt_monitor *monitor, const struct vt_picture *picture, uint32_t index,
                const struct vt_object *object)
{
    struct vt_watched *vm = &monitor->vms[index];
    int64_t domid = vt_object_int(object, "domid");
    uint16_t host = host_index(monitor, vt_object_text(object, "resident_on"));
    bool before = vm->known;

    find_work(vm, object);
    int power = power_of(vm, object);
    if (before && power != vm->power)
        note_power(vm, power);
    else if (before && power == VT_POWER_RUNNING && host != vm->host && vm->host != VT_NO_INDEX)
        note_move(vm);
    else if (before && power == VT_POWER_RUNNING && domid != vm->domid)
        note_reboot(vm);
    vm->power = power;
    vm->domid = domid;
    if (host != VT_NO_INDEX || power != VT_POWER_RUNNING)
        vm->host = host;
    vm->known = true;
    snprintf(vm->name, sizeof vm->name, "%s", vt_object_text(object, "name_label"));
    find_interfaces(monitor, picture, vm, object);
    find_addresses(vm, vt_picture_follow(picture, object, "guest_metrics"));
    ask_vm(monitor, index);
}

/* Its place in the tables when its references are new. */
static void keep_refs(struct vt_monitor *monitor, uint32_t index, const struct vt_object *object)
{
    struct vt_watched *vm = &monitor->vms[index];
    const char *ref = vt_object_ref(object), *guest = vt_object_text(object, "guest_metrics");

    if (strcmp(vm->ref, ref) == 0 && strcmp(vm->guest_ref, guest) == 0)
        return;
    bool fresh = vm->ref[0] == '\0';
    snprintf(vm->ref, sizeof vm->ref, "%s", ref);
    snprintf(vm->guest_ref, sizeof vm->guest_ref, "%s", guest);
    if (fresh)
        link_vm(monitor, index);
    else
        link_all(monitor);
}

static int by_subject(const void *uuid, const void *rule)
{
    return strcmp(uuid, ((const struct vt_rule *)rule)->subject);
}

static const struct vt_rule *rule_of(const struct vt_monitor *monitor,
                                     const struct vt_picture *picture,
                                     const struct vt_object *object)
{
    const struct vt_object *host = vt_picture_follow(picture, object, "resident_on");
    struct vt_rule_vm vm = { .uuid = vt_object_text(object, "uuid"),
                             .host_uuid = host ? vt_object_text(host, "uuid") : "-" };

    vm.tag_count = vt_object_list(object, "tags", &vm.tags);
    size_t single = monitor->rule_count - monitor->shared_rules;
    const struct vt_rule *own = single ? bsearch(vm.uuid, monitor->rules + monitor->shared_rules,
                                                 single, sizeof *own, by_subject)
                                       : NULL;
    return own ? own : vt_rules_choose(monitor->rules, monitor->shared_rules, &vm);
}

static bool is_vm(const struct vt_object *object)
{
    return !vt_object_bool(object, "is_a_template") && !vt_object_bool(object, "is_a_snapshot") &&
           !vt_object_bool(object, "is_control_domain");
}

static void sweep_one(struct vt_monitor *monitor, const struct vt_picture *picture, uint32_t index,
                      const struct vt_object *object)
{
    const struct vt_rule *rule = is_vm(object) ? rule_of(monitor, picture, object) : NULL;

    if (!rule)
        return;
    struct vt_watch_settings *settings = monitor->applied[rule - monitor->rules];
    if (index == VT_NO_VM) {
        index = take_place(monitor);
        if (index == VT_NO_VM)
            return;
        monitor->vms[index] = (struct vt_watched){ .used = true,
                                                   .tag = ++monitor->next_tag,
                                                   .host = VT_NO_INDEX,
                                                   .network = VT_NO_INDEX,
                                                   .since = vt_clock_wall() };
        snprintf(monitor->vms[index].uuid, sizeof monitor->vms[index].uuid, "%s",
                 vt_object_text(object, "uuid"));
    }
    monitor->vms[index].settings = settings;
    monitor->vms[index].rule = rule->kind;
    monitor->vms[index].swept = true;
    keep_refs(monitor, index, object);
    see(monitor, picture, index, object);
}

/* It left the pool or is not watched any more: judged once more, then forgotten by the judge. */
static void lose(struct vt_monitor *monitor, uint32_t index)
{
    struct vt_watched *vm = &monitor->vms[index];

    vm->known = false;
    vm->settings = &monitor->options.settings;
    vt_detector_reset(&vm->detector);
    vt_probes_remove(monitor->probes, VT_BEACONS_MAX + index);
}

void vt_sweep_all(struct vt_monitor *monitor, const struct vt_picture *picture)
{
    monitor->counts.sweeps++;
    sweep_hosts(monitor, picture);
    for (uint32_t i = 0; i < monitor->vm_count; i++)
        monitor->vms[i].swept = false;
    VT_PICTURE_EACH(picture, VT_CLASS_VM, object)
    sweep_one(monitor, picture, vt_vm_by_ref(monitor, vt_object_ref(object)), object);
    for (uint32_t i = 0; i < monitor->vm_count; i++)
        if (monitor->vms[i].used && !monitor->vms[i].swept)
            lose(monitor, i);
}

void vt_sweep_some(struct vt_monitor *monitor, const struct vt_picture *picture,
                   char (*refs)[VT_XAPI_REF_MAX], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t index = vt_vm_by_ref(monitor, refs[i]);
        const struct vt_object *object =
            vt_picture_get(picture, index == VT_NO_VM ? refs[i] : monitor->vms[index].ref);
        if (object && vt_object_class(object) == VT_CLASS_VM)
            sweep_one(monitor, picture, index, object);
        else if (index != VT_NO_VM && !object)
            lose(monitor, index);
    }
}
