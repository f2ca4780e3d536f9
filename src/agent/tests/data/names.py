"""Lists names of the Broadband Forum's data model for USP agents: python3 names.py <device2> > tr-181-2.19.1.txt

Standard library only. What the list looks like stands at its head, which is kept.
"""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree

ROOTS = (
    "DeviceInfo Time Ethernet Bridging IP PPP Routing RouterAdvertisement DHCPv4 DHCPv6 DNS NAT Firewall QoS Hosts LocalAgent MQTT "
    "BulkData SoftwareModules Security Users USPServices UnixDomainSockets"
).split()
# What no object of ours lies beside.
SKIP = re.compile(
    r"Diagnostics|\.RMON|TWAMP|ProviderBridge|VLANPort|Bridge\.\{i\}\.Filter|Babel|\.RIP|\.LAG|\.PTP|WoL|DNS\.SD|ActivePort|Location"
    r"|NetworkProperties|MemoryMonitor|Temperature|IPLayerCapacity|PeriodicStatistics|QoS\.(Classification|Flow|App|Policer|Scheduler)"
    r"|Firewall\.(ConnectionTracking|DMZ|Set|Log|Chain|Policy|Level|Service|InterfaceSetting)|PortTrigger|Retransmission"
    r"|DHCPv6\.Client.*Option|RouteInformation|DNS\.Zone|AccessControl|WANStats|PriorityCodePoint|\.STP\.|DeviceImage"
    r"|ProcessStatus\.CPU(\.|Number)|CoAP|STOMP|MaximumWAN|PPPoA|Time\.Server\.|\.Schedule(?!Timer)"
)
# Data types of TR-106 that are no strings.
TYPES = {"StatsCounter32": "unsignedInt", "StatsCounter64": "unsignedLong", "Dbm1000": "int"}
HERE = os.path.dirname(os.path.abspath(__file__))
documents = {}
found = {}


def load(folder, name):
    """A document: its root, its components, its imports."""
    if name not in documents:
        path = os.path.join(folder, name)
        documents[name] = None
        if os.path.exists(path):
            root = ElementTree.parse(path).getroot()
            imports = {}
            for one in root.findall("import"):
                for part in one:
                    imports[(part.tag, part.get("name"))] = (one.get("file"), part.get("ref") or part.get("name"))
            components = {part.get("name"): part for part in root.findall("component")}
            documents[name] = (root, components, imports)
    return documents[name]


def component(folder, name, which):
    """Where a component is: its document, itself."""
    document = load(folder, name)
    if document is None:
        return None
    if which in document[1]:
        return name, document[1][which]
    if ("component", which) in document[2]:
        return component(folder, *document[2][("component", which)])
    return None


def kind(parameter):
    syntax = parameter.find("syntax")
    for one in syntax if syntax is not None else ():
        if one.tag == "dataType":
            return TYPES.get(one.get("ref") or one.get("base"), "string")
        if one.tag != "default":
            return one.tag
    return "string"


def arguments(folder, name, element, before):
    names = []
    for one in element if element is not None else ():
        if one.tag == "parameter":
            names.append(before + (one.get("name") or ""))
        elif one.tag == "object":
            names += arguments(folder, name, one, before + (one.get("name") or ""))
        elif one.tag == "component":
            other = component(folder, name, one.get("ref"))
            names += arguments(folder, other[0], other[1], before) if other else []
    return names


def walk(folder, name, element, path):
    for one in element:
        said = one.get("name")
        if one.tag == "component":
            other = component(folder, name, one.get("ref"))
            if other:
                walk(folder, other[0], other[1], path + (one.get("path") or ""))
        elif one.tag == "object":
            whole = said or one.get("base")
            whole = whole if whole.startswith("Device.") else path + whole
            if said:
                found.setdefault(whole, f"object {one.get('access')}")
            walk(folder, name, one, whole)
        elif one.tag == "parameter" and said:
            found.setdefault(path + said, f"{kind(one)} {one.get('access')}")
        elif one.tag == "event" and said:
            found.setdefault(path + said, "event " + ",".join(arguments(folder, name, one, "")))
        elif one.tag == "command" and said:
            lists = [",".join(arguments(folder, name, one.find(way), "")) or "-" for way in ("input", "output")]
            when = "sync" if one.get("async") == "false" else "async"
            found.setdefault(path + said, " ".join([when, *lists]))


def model(folder, name):
    root, _, imports = load(folder, name)
    for one in root.findall("model"):
        if one.get("name").startswith("Device:"):
            base = imports.get(("model", one.get("base")))
            if base:
                model(folder, base[0])
            walk(folder, name, one, "")


def wanted(path):
    parts = path.split(".")
    beneath = len(parts) > 1 and parts[0] == "Device"
    return beneath and (parts[1] in ROOTS or (len(parts) == 2 and parts[1])) and not SKIP.search(path)


model(sys.argv[1], "tr-181-2-usp.xml")
with open(os.path.join(HERE, "tr-181-2.19.1.txt"), encoding="utf-8") as old:
    print("".join(line for line in old if line.startswith("#")), end="")
for path in sorted(found):
    if wanted(path):
        print(path, found[path])
