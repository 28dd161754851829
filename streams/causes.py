"""Why records are set aside: stable codes, each with a sentence in Vietnamese. docs/quarantine.md lists the same."""

from collections.abc import Mapping

CAUSES: Mapping[str, str] = {
    "archive_damaged": "Tệp nén hỏng, hoặc bung ra quá lớn.",
    "archive_encrypted": "Tệp nén có mật khẩu.",
    "archive_method": "Tệp nén theo phương pháp không được hỗ trợ.",
    "archive_too_large": "Tệp nén chứa quá nhiều hoặc quá lớn tài liệu.",
    "base64": "Nội dung không phải mã base64.",
    "contract": "Bản ghi trong Kafka không đúng hợp đồng dữ liệu của ngành.",
    "crc": "Mã kiểm tra (CRC) của mã QR sai.",
    "empty": "Bản ghi rỗng.",
    "encoding": "Bảng mã ký tự không đọc được (không phải UTF-8 hoặc UTF-16).",
    "fhir": "Một phần tử FHIR không đúng đặc tả.",
    "fhir_xml": "FHIR viết bằng XML; cần JSON.",
    "field": "Một trường có kiểu dữ liệu không đúng.",
    "item_malformed": "Một mục trong danh sách của nguồn thiếu nội dung hoặc nội dung không phải văn bản.",
    "json_broken": "JSON sai cú pháp, hoặc lồng nhau quá sâu.",
    "json_cut": "JSON bị cắt ngang.",
    "layers_damaged": "Lớp nén hoặc mã hóa base64 quanh bản ghi bị hỏng.",
    "layers_deep": "Bản ghi bị nén hoặc bọc quá nhiều lớp.",
    "layers_empty": "Tệp zip không chứa tệp nào.",
    "layers_large": "Bản ghi bung ra quá lớn hoặc thành quá nhiều tệp.",
    "layers_method": "Tệp zip có mật khẩu, hoặc nén theo phương pháp không được hỗ trợ.",
    "missing": "Thiếu một phần bắt buộc.",
    "not_fhir": "Không phải tài nguyên FHIR.",
    "not_json": "Không phải JSON.",
    "not_tvan": "Không phải thông điệp T-VAN hay hóa đơn.",
    "not_xml": "Không phải XML.",
    "number": "Một con số không đọc được, hoặc lớn quá mức cho phép.",
    "parser_error": "Lỗi của bộ đọc, cần báo người phát triển; thử lại sau khi sửa.",
    "query": "Chuỗi tham số có trường lặp lại.",
    "scenario": "Kịch bản diễn tập làm hỏng bản ghi.",
    "seller_missing": "Không có mã số thuế người bán.",
    "signature": "Chữ ký sai, hoặc không có gì để kiểm chữ ký.",
    "time": "Một thời điểm không đọc được, hoặc kết thúc trước khi bắt đầu.",
    "time_out_of_range": "Thời điểm trước năm 1920, hoặc sau lúc nhận hơn một ngày.",
    "too_large": "Bản ghi vượt giới hạn kích thước.",
    "xml_broken": "XML sai cú pháp.",
    "xml_cut": "XML bị cắt ngang.",
    "xml_deep": "Các thẻ XML lồng nhau quá sâu.",
    "xml_dtd": "XML khai báo DOCTYPE, không được phép.",
    # what only a retry meets: the record stays set aside for its own cause
    "not_opened": "Không có khóa riêng nào ở đây mở được bản ghi.",
    "not_repaired": "Quy tắc sửa không áp dụng được cho bản ghi này.",
    "nothing_told": "Bản ghi đọc được nhưng không cho biết sự việc nào.",
    "sealed_cut": "Bản ghi quá lớn, chỉ giữ được phần đầu.",
    "source_gone": "Nguồn của bản ghi không còn trong cấu hình.",
}


def said(cause: str) -> str:
    """The sentence of a cause; the code itself for one that this version does not know."""
    return CAUSES.get(cause, cause)
