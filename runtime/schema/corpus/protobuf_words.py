"""How the definitions of protobuf.py and protobuf_editions.py are put together."""

P3 = 'syntax = "proto3";\n'
P2 = 'syntax = "proto2";\n'
E = 'edition = "2023";\n'


def m3(body, before=""):
    return f"{P3}{before}message A {{ {body} }}\n"


def m2(body, before=""):
    return f"{P2}{before}message A {{ {body} }}\n"


def e(body, before=""):
    return f"{E}{before}message A {{ {body} }}\n"


def implicit(body):
    return e(body, "option features.field_presence = IMPLICIT;\n")


X3 = "int32 x = 1;"
X2 = "optional int32 x = 1;"
D3 = 'import "google/protobuf/descriptor.proto";\n'
