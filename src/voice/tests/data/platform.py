"""An operator's voice platform: a registrar that also calls, and answers calls; it echoes media and counts them.

stdin: call | stats | hangup     stdout: registered URI | ringing | up | stats PACKETS LOST | over | refused CODE
Usage: platform.py ADDRESS
"""
import re, select, socket, sys, time

own = sys.argv[1]
sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sip.bind((own, 5060))
rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
rtp.bind((own, 30000))
contact = route = remote = dialog = None
seen, to, clock = [], None, 0

def say(*words):
    print(*words, flush=True)

def header(text, name):
    return re.findall(rf"^(?:{name})\s*:\s*(.*?)\r$", text, re.M | re.I)

def sdp():
    return (f"v=0\r\no=- 1 1 IN IP4 {own}\r\ns=-\r\nc=IN IP4 {own}\r\nt=0 0\r\n"
            "m=audio 30000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n")

def media(text):
    global to
    port, host = re.search(r"m=audio (\d+)", text), re.search(r"c=IN IP4 (\S+)", text)
    if port and host:
        to = (host.group(1), int(port.group(1)))

def answer(text, where, code, extra="", body=""):
    kept = "".join(f"{name}: {value}\r\n" for name in ("Via", "Record-Route", "From", "Call-ID", "CSeq")
                   for value in header(text, {"Via": "Via|v", "From": "From|f", "Call-ID": "Call-ID|i"}.get(name, name)))
    called = header(text, "To|t")[0]
    kept += f"To: {called}{'' if ';tag=' in called else ';tag=platform'}\r\n"
    kind = "Content-Type: application/sdp\r\n" if body else ""
    sip.sendto(f"SIP/2.0 {code}\r\n{kept}{extra}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode(), where)

def request(method, number, extra="", body=""):
    kind = "Content-Type: application/sdp\r\n" if body else ""
    routes = "".join(f"Route: {one}\r\n" for one in dialog["routes"])
    sip.sendto((f"{method} {dialog['target']} SIP/2.0\r\nVia: SIP/2.0/UDP {own}:5060;branch=z9hG4bK{number}{method};rport\r\n"
                f"{routes}From: {dialog['from']}\r\nTo: {dialog['to']}\r\nCall-ID: {dialog['id']}\r\nCSeq: {number} {method}\r\n"
                f"Max-Forwards: 70\r\nContact: <sip:platform@{own}:5060>\r\n{extra}{kind}"
                f"Content-Length: {len(body)}\r\n\r\n{body}").encode(), dialog["via"])

def hear(text, where):
    global contact, dialog
    first = text.split("\r\n")[0]
    if first.startswith("REGISTER"):
        contact = re.search(r"<(.*?)>", header(text, "Contact|m")[0]).group(1)
        answer(text, where, "200 OK", f"Contact: <{contact}>;expires=60\r\n")
        say("registered", contact)
    elif first.startswith("INVITE"):
        media(text)
        target = re.search(r"<(.*?)>", header(text, "Contact|m")[0]).group(1)
        dialog = {"target": target, "from": header(text, "To|t")[0] + ";tag=platform", "to": header(text, "From|f")[0],
                  "id": header(text, "Call-ID|i")[0], "via": where, "routes": header(text, "Record-Route")}
        answer(text, where, "200 OK", f"Contact: <sip:platform@{own}:5060>\r\n", sdp())
        say("up")
    elif first.startswith("BYE"):
        answer(text, where, "200 OK")
        say("over")
    elif first.startswith(("OPTIONS", "CANCEL", "SUBSCRIBE", "PUBLISH")):
        answer(text, where, "200 OK")
    elif first.startswith("SIP/2.0 18"):
        say("ringing")
    elif first.startswith("SIP/2.0 200") and "INVITE" in header(text, "CSeq")[0]:
        media(text)
        dialog["to"] = header(text, "To|t")[0]
        dialog["target"] = re.search(r"<(.*?)>", header(text, "Contact|m")[0]).group(1)
        dialog["routes"] = list(reversed(header(text, "Record-Route")))
        request("ACK", 1)
        say("up")
    elif first.startswith("SIP/2.0 200") and "BYE" in header(text, "CSeq")[0]:
        say("over")
    elif re.match(r"SIP/2.0 [3-6]", first) and "INVITE" in header(text, "CSeq")[0]:
        say("refused", first.split()[1])

say("ready")
while True:
    for ready in select.select([sys.stdin, sip, rtp], [], [])[0]:
        if ready is sip:
            bytes_, where = sip.recvfrom(8192)
            if bytes_.strip():
                hear(bytes_.decode(), where)
        elif ready is rtp:
            packet, where = rtp.recvfrom(2048)
            seen.append(int.from_bytes(packet[2:4], "big"))
            if to:
                rtp.sendto(packet, to)
        else:
            word = sys.stdin.readline().strip()
            if not word:
                sys.exit()
            if word.startswith("call"):
                target = (word.split() + [contact])[1]
                host = re.search(r"@([\d.]+):?(\d*)", target)
                dialog = {"target": target, "from": f"<sip:caller@{own}>;tag=c{time.monotonic_ns()}", "to": f"<{target}>",
                          "id": f"call{time.monotonic_ns()}", "via": (host.group(1), int(host.group(2) or 5060)), "routes": []}
                request("INVITE", 1, body=sdp())
            elif word == "hangup":
                request("BYE", 2)
            elif word == "stats":
                lost = (seen[-1] - seen[0] + 1 - len(set(seen))) % 65536 if seen else 0
                say("stats", len(seen), lost)
