#!/bin/bash
# tests/scenarios/guest.sh FOLDER: makes FOLDER/vmlinuz and FOLDER/guest.cpio.gz, a Linux that boots in seconds under emulation: Debian's
# cloud kernel (unpacked, not installed), busybox, the modules of the virtual devices. It takes name= and vip= from its command line,
# answers ping and HTTP, and powers off when it is asked to. Where qemu-guest-agent is installed, FOLDER/agent.cpio.gz is the same guest
# with that agent and an ext4 disk that it writes to all the time. Keeps what is there already; exit 77: it cannot be made here.
set -eu
folder=$1
mkdir -p "$folder"
cd "$folder"
exec 9> lock       # two scenarios may want it at once
flock 9
agent=$(command -v qemu-ga || true)
[ -s vmlinuz ] && [ -s guest.cpio.gz ] && { [ -s agent.cpio.gz ] || [ -z "$agent" ]; } && exit 0
for tool in apt-get dpkg-deb cpio depmod modprobe; do
    command -v $tool > /dev/null || { echo "guest: $tool is not installed"; exit 77; }
done
[ -x /bin/busybox ] && ! ldd /bin/busybox > /dev/null 2>&1 || { echo "guest: busybox-static is not installed"; exit 77; }

package=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null | awk '/Depends:/{print $2; exit}')
[ -n "$package" ] || { echo "guest: no kernel package is known (apt-get update)"; exit 77; }
version=${package#linux-image-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && chmod 755 . && apt-get download -q "$package" > download.log 2>&1) || { echo "guest: $package cannot be fetched"; exit 77; }
mkdir "$work/k"
dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x -C "$work/k" ./boot ./lib/modules
depmod -b "$work/k" "$version"

root=$work/root
mkdir -p "$root"/{bin,dev,proc,sys,var/log,var/run,etc/acpi/PWRF,lib/modules,www}
cp /bin/busybox "$root/bin/"
number=10
touch "$work/taken"

take_modules() {   # FOLDER MODULE...: those that are not taken yet, in the order in which they need each other
    local to=$1
    shift
    for module in "$@"; do
        modprobe -d "$work/k" -S "$version" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | grep -vxFf "$work/taken" > "$work/modules" || true
    while read -r file; do
        cp "$file" "$to/$number-$(basename "$file")"
        number=$((number + 1))
    done < "$work/modules"
    cat "$work/modules" >> "$work/taken"
}

pack() {   # FOLDER FILE
    (cd "$1" && find . | cpio -o -H newc --quiet | gzip -9) > "$2"
}

take_modules "$root/lib/modules" virtio_pci virtio_net virtio_blk button evdev
printf '#!/bin/sh\n/bin/poweroff -f\n' > "$root/etc/acpi/PWRF/00000080"
chmod +x "$root/etc/acpi/PWRF/00000080"
cat > "$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in /lib/modules/*.ko*; do insmod "$m"; done
for w in $(cat /proc/cmdline); do case $w in vip=*) vip=${w#vip=};; name=*) hostname "${w#name=}";; esac; done
i=0
while [ ! -e /sys/class/net/eth0 ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
ip link set lo up
ip link set eth0 up
ip addr add "$vip" dev eth0
hostname > /www/index.html
httpd -p 80 -h /www
acpid
[ ! -x /agent ] || /agent
echo "GUEST READY $(hostname)" > /dev/console
while :; do sleep 1; done
INIT
chmod +x "$root/init"
pack "$root" "$work/guest.cpio.gz"

# The kernel unpacks archives that follow each other over one another.
if [ -n "$agent" ]; then
    more=$work/more
    mkdir -p "$more"/{lib/modules,lib/x86_64-linux-gnu,lib64,usr/sbin,data,run}
    take_modules "$more/lib/modules" virtio_console ext4
    cp "$agent" "$more/usr/sbin/qemu-ga"
    ldd "$agent" | grep -o '/[^ ]*' | while read -r library; do
        cp -L "$library" "$more$library"
    done
    cat > "$more/agent" <<'AGENT'
#!/bin/sh
mount -t ext4 /dev/vda /data && (while :; do date > /data/now; sleep 0.2; done) &
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = org.qemu.guest_agent.0 ] && qemu-ga -d -m virtio-serial -p "/dev/$(basename "$port")" -t /run -f /run/ga.pid
done
exit 0
AGENT
    chmod +x "$more/agent"
    pack "$more" "$work/more.cpio.gz"
    cat "$work/guest.cpio.gz" "$work/more.cpio.gz" > agent.cpio.gz.new
    mv agent.cpio.gz.new agent.cpio.gz
fi
cp "$work/k/boot/vmlinuz-$version" vmlinuz.new
mv "$work/guest.cpio.gz" guest.cpio.gz
mv vmlinuz.new vmlinuz
