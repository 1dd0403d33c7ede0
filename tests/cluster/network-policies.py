#!/usr/bin/env python3
"""Enforces the cluster's NetworkPolicies on this node: watches pods, namespaces and policies, and compiles them into one
nft table of the node's network namespace. The bridge plugin ignores policies, as many clusters' plugins do; this is the
other kind. Refused connections are rejected, not dropped, so that tests need no timeouts.

network-policies.py API-SERVER PKI-FOLDER POD-RANGE      (started by `node`, inside its namespaces)
"""
import http.client, ipaddress, json, ssl, subprocess, sys, threading, time
from urllib.parse import urlsplit

SERVER, PKI, POD_RANGE = sys.argv[1:]
KINDS = {"pods": "/api/v1/pods", "namespaces": "/api/v1/namespaces", "policies": "/apis/networking.k8s.io/v1/networkpolicies"}
# An ICMP answer, which clients see as "connection refused", finds its way back through a Service's rewritten address; a
# TCP reset of a connection to the node itself does not.
REFUSE = "reject with icmpx port-unreachable"

known = {kind: {} for kind in KINDS}  # kind → uid → object
changed = threading.Condition()


def connect(timeout):
    context = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
    context.load_cert_chain(f"{PKI}/admin.crt", f"{PKI}/admin.key")
    return http.client.HTTPSConnection(urlsplit(SERVER).netloc, context=context, timeout=timeout)


def follow(kind):
    """Keeps known[kind] as the API server has it, for ever; a break means a new list."""
    while True:
        try:
            listing = connect(30)
            listing.request("GET", KINDS[kind])
            answer = json.load(listing.getresponse())
            with changed:
                known[kind] = {item["metadata"]["uid"]: item for item in answer["items"]}
                changed.notify()
            watch = connect(330)
            watch.request("GET", f"{KINDS[kind]}?watch=1&timeoutSeconds=300&resourceVersion={answer['metadata']['resourceVersion']}")
            for line in watch.getresponse():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    break
                with changed:
                    uid = event["object"]["metadata"]["uid"]
                    if event["type"] == "DELETED":
                        known[kind].pop(uid, None)
                    else:
                        known[kind][uid] = event["object"]
                    changed.notify()
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            print(f"{kind}: {error!r}, again in a second", flush=True)
            time.sleep(1)


def selects(selector, labels):
    def holds(rule):
        key, values = rule["key"], rule.get("values", [])
        return {"In": labels.get(key) in values, "NotIn": labels.get(key) not in values,
                "Exists": key in labels, "DoesNotExist": key not in labels}[rule["operator"]]

    return (all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())
            and all(holds(rule) for rule in selector.get("matchExpressions", [])))


def labels(thing):
    return thing["metadata"].get("labels", {})


def peers(peer, namespace, pods, namespaces):
    """The pods that a peer of a policy in `namespace` names."""
    for pod in pods:
        theirs = pod["metadata"]["namespace"]
        if "namespaceSelector" in peer:
            if theirs not in namespaces or not selects(peer["namespaceSelector"], labels(namespaces[theirs])):
                continue
        elif theirs != namespace:
            continue
        if selects(peer.get("podSelector", {}), labels(pod)):
            yield pod


def ports(rule, target):
    """The rule's ports as nft matches; a named port is the target pod's own."""
    if not rule.get("ports"):
        return [""]
    matches = []
    for port in rule["ports"]:
        protocol, number = port.get("protocol", "TCP"), port.get("port")
        if number is None:
            matches.append(f"meta l4proto {protocol.lower()}")
            continue
        numbers = [number]
        if isinstance(number, str):
            numbers = [p["containerPort"] for c in (target or {"spec": {"containers": []}})["spec"]["containers"]
                       for p in c.get("ports", []) if p.get("name") == number and p.get("protocol", "TCP") == protocol]
        for number in numbers:
            span = f"{number}-{port['endPort']}" if "endPort" in port else number
            matches.append(f"{protocol.lower()} dport {span}")
    return matches


def block(peer, side):
    if ipaddress.ip_network(peer["cidr"]).version != 4:
        return None  # the cluster has IPv4 only
    without = peer.get("except", [])
    return f"ip {side} {peer['cidr']}" + (f" ip {side} != {{ {', '.join(without)} }}" if without else "")


def accepts(pod, direction, policies, pods, namespaces):
    """Every connection that one of the policies allows for the pod, as nft matches."""
    names, side = ("from", "saddr") if direction == "ingress" else ("to", "daddr")
    for policy in policies:
        for rule in policy["spec"].get(direction) or []:
            everyone = pods if any(isinstance(p.get("port"), str) for p in rule.get("ports") or []) and direction == "egress" else None
            if not rule.get(names):
                if everyone is None:
                    yield from ports(rule, pod)
                for target in everyone or []:
                    yield from (f"ip daddr {target['status']['podIP']} {match}" for match in ports(rule, target))
            for peer in rule.get(names) or []:
                if "ipBlock" in peer:
                    if address := block(peer["ipBlock"], side):
                        yield from (f"{address} {match}" for match in ports(rule, pod if direction == "ingress" else None))
                    continue
                for other in peers(peer, policy["metadata"]["namespace"], pods, namespaces):
                    target = pod if direction == "ingress" else other
                    yield from (f"ip {side} {other['status']['podIP']} {match}" for match in ports(rule, target))


def table():
    pods = [p for p in known["pods"].values() if p.get("status", {}).get("podIP") and not p["spec"].get("hostNetwork")
            and p["status"].get("phase") not in ("Succeeded", "Failed")]
    namespaces = {n["metadata"]["name"]: n for n in known["namespaces"].values()}
    chains, from_pods, to_pods = [], [], []
    for number, pod in enumerate(sorted(pods, key=lambda p: p["metadata"]["uid"])):
        address = pod["status"]["podIP"]
        for direction, side, jumps in (("egress", "saddr", from_pods), ("ingress", "daddr", to_pods)):
            governing = [p for p in known["policies"].values() if p["metadata"]["namespace"] == pod["metadata"]["namespace"]
                         and selects(p["spec"].get("podSelector", {}), labels(pod))
                         and direction.capitalize() in p["spec"].get("policyTypes", ["Ingress"] + ["Egress"] * ("egress" in p["spec"]))]
            if not governing:
                continue
            rules = sorted({f"{match} return".strip() for match in accepts(pod, direction, governing, pods, namespaces)})
            chains.append(f"  chain {direction}-{number} {{ # {pod['metadata']['namespace']}/{pod['metadata']['name']}\n    "
                          + "\n    ".join(rules + [REFUSE]) + "\n  }")
            jumps.append(f"ip {side} {address} jump {direction}-{number}")
    # A pod whose address is not known yet waits: a policy must hold from its first packet on.
    addresses = ", ".join(sorted({p["status"]["podIP"] for p in pods})) or "0.0.0.0"
    lines = "\n    ".join
    return f"""table inet network-policies
delete table inet network-policies
table inet network-policies {{
{chr(10).join(chains)}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    ct state established,related accept
    ip saddr {POD_RANGE} ip saddr != {{ {addresses} }} drop
    ip daddr {POD_RANGE} ip daddr != {{ {addresses} }} drop
    {lines(from_pods)}
    {lines(to_pods)}
  }}
  chain input {{
    type filter hook input priority -10; policy accept;
    ct state established,related accept
    iifname != "cni0" accept
    {lines(from_pods)}
  }}
}}
"""


def main():
    for kind in KINDS:
        threading.Thread(target=follow, args=(kind,), daemon=True).start()
    former = None
    while True:
        with changed:
            current = table() if all(known[k] for k in ("pods", "namespaces")) else None
            if current == former:
                changed.wait()
                continue
        if current is not None:
            done = subprocess.run(["nft", "-f", "-"], input=current, text=True, capture_output=True)
            if done.returncode:  # the former table stands, and the supervisor's next start tries anew
                sys.exit(f"nft refuses: {done.stderr}\n{current}")
            print(f"{time.strftime('%T')} {current.count(' return')} allowances, {current.count('  chain ') - 2} isolated", flush=True)
        former = current


main()
