#!/bin/bash
# tests/scenarios/guest.sh FOLDER: makes FOLDER/vmlinuz and FOLDER/guest.cpio.gz, a Linux that boots in seconds under emulation: Debian's
# cloud kernel (unpacked, not installed), busybox, the modules of the virtual devices. It takes name= and vip= from its command line,
# answers ping and HTTP, and powers off when it is asked to. Keeps what is there already; exit 77: it cannot be made here.
set -eu
folder=$1
mkdir -p "$folder"
cd "$folder"
[ -s vmlinuz ] && [ -s guest.cpio.gz ] && exit 0
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
# in the order in which they need each other
for module in virtio_pci virtio_net virtio_blk button evdev; do
    modprobe -d "$work/k" -S "$version" --show-depends $module
done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' > "$work/modules"
while read -r file; do
    cp "$file" "$root/lib/modules/$number-$(basename "$file")"
    number=$((number + 1))
done < "$work/modules"
printf '#!/bin/sh\n/bin/poweroff -f\n' > "$root/etc/acpi/PWRF/00000080"
chmod +x "$root/etc/acpi/PWRF/00000080"
cat > "$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
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
echo "GUEST READY $(hostname)" > /dev/console
while :; do sleep 1; done
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -9) > "$work/guest.cpio.gz"
cp "$work/k/boot/vmlinuz-$version" vmlinuz.new
mv "$work/guest.cpio.gz" guest.cpio.gz
mv vmlinuz.new vmlinuz
