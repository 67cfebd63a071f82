"""Names that sound like the city: its streets and landmarks are real, what hangs or trades there is not."""

from dataclasses import dataclass

from schemas.reference import Office

CITY_OFFICE = Office(
    "oso-070", "02203", "Bộ phận Tiếp nhận và Trả kết quả UBND thành phố Tuyên Quang", "city"
)


@dataclass(frozen=True, slots=True)
class WardPlaces:
    """What a ward has: camera eyes (0 for none), streets (the main ones first), crowded places, trade."""

    cameras: int
    streets: tuple[str, ...]
    schools: tuple[str, ...]
    crowds: tuple[tuple[str, tuple[str, ...]], ...] = ()
    supermarkets: tuple[str, ...] = ()
    stores: int = 1


PLACES: dict[str, WardPlaces] = {
    "02200": WardPlaces(  # Phan Thiết
        cameras=52,
        streets=(
            "Phan Thiết",
            "Quang Trung",
            "17 Tháng 8",
            "Lê Lợi",
            "Ngô Quyền",
            "Nguyễn Trãi",
            "Hà Huy Tập",
        ),
        schools=("Mầm non Phan Thiết", "Tiểu học Phan Thiết", "THCS Phan Thiết", "THPT Tân Trào"),
        crowds=(("market", ("Chợ Phan Thiết",)), ("station", ("Bến xe Phan Thiết",))),
        supermarkets=("Siêu thị Phan Thiết",),
        stores=5,
    ),
    "02203": WardPlaces(  # Minh Xuân
        cameras=62,
        streets=(
            "Bình Thuận",
            "17 Tháng 8",
            "Quang Trung",
            "Nguyễn Văn Cừ",
            "Lê Duẩn",
            "Trần Phú",
            "Song Hào",
        ),
        schools=("Mầm non Hoa Sen", "Tiểu học Bình Thuận", "THCS Lê Quý Đôn", "THPT Chuyên Tuyên Quang"),
        crowds=(
            ("square", ("Quảng trường Nguyễn Tất Thành",)),
            ("market", ("Chợ Minh Xuân",)),
            ("hospital", ("Bệnh viện Đa khoa tỉnh", "Bệnh viện Phổi")),
        ),
        supermarkets=("Siêu thị Minh Xuân", "Trung tâm thương mại Bình Thuận"),
        stores=6,
    ),
    "02206": WardPlaces(  # Tân Quang
        cameras=54,
        streets=(
            "Chiến Thắng Sông Lô",
            "Quang Trung",
            "Bình Thuận",
            "Hồng Thái",
            "Xuân Hòa",
            "Trưng Trắc",
            "Tam Cờ",
        ),
        schools=("Mầm non Tân Trào", "Tiểu học Hồng Thái", "THCS Hồng Thái", "THPT Nguyễn Văn Huyên"),
        crowds=(("market", ("Chợ Tam Cờ", "Chợ đêm Sông Lô")), ("station", ("Bến xe Tuyên Quang",))),
        supermarkets=("Siêu thị Sông Lô",),
        stores=6,
    ),
    "02209": WardPlaces(  # Tràng Đà
        cameras=12,
        streets=("Quốc lộ 2C", "Trần Hưng Đạo", "Tràng Đà"),
        schools=("Mầm non Tràng Đà", "Tiểu học Tràng Đà", "THCS Tràng Đà"),
        crowds=(("market", ("Chợ Tràng Đà",)),),
    ),
    "02212": WardPlaces(  # Nông Tiến
        cameras=30,
        streets=("Quốc lộ 37", "Trần Hưng Đạo", "Bình Ca", "Nông Tiến", "Đoàn Kết"),
        schools=("Mầm non Nông Tiến", "Tiểu học Nông Tiến", "THCS Nông Tiến"),
        crowds=(("bridge", ("Cầu Nông Tiến",)), ("market", ("Chợ Nông Tiến",))),
        stores=3,
    ),
    "02215": WardPlaces(  # Ỷ La
        cameras=40,
        streets=("Tân Trào", "Lê Duẩn", "Ỷ La", "Nguyễn Chí Thanh", "Tân Hà", "Hà Huy Tập"),
        schools=("Mầm non Ỷ La", "Tiểu học Ỷ La", "THCS Ỷ La", "THPT Ỷ La"),
        crowds=(("market", ("Chợ Ỷ La",)), ("hospital", ("Bệnh viện Y Dược cổ truyền",))),
        supermarkets=("Siêu thị Ỷ La",),
        stores=4,
    ),
    "02216": WardPlaces(  # Tân Hà
        cameras=48,
        streets=("Tân Trào", "Tân Hà", "Minh Thanh", "Bình Thuận", "Phan Thiết", "Trường Chinh"),
        schools=("Mầm non Tân Hà", "Tiểu học Tân Hà", "THCS Tân Hà"),
        crowds=(("market", ("Chợ Tân Hà",)), ("bridge", ("Cầu Tân Hà",))),
        supermarkets=("Siêu thị Tân Hà",),
        stores=4,
    ),
    "02218": WardPlaces(  # Hưng Thành
        cameras=42,
        streets=("Phạm Văn Đồng", "Lê Duẩn", "Quang Trung", "Kim Bình", "Bình Thuận", "Hưng Thành"),
        schools=("Mầm non Hưng Thành", "Tiểu học Hưng Thành", "THCS Hưng Thành"),
        crowds=(("market", ("Chợ Hưng Thành",)), ("hospital", ("Bệnh viện Công an tỉnh",))),
        supermarkets=("Siêu thị Hưng Thành",),
        stores=4,
    ),
    "02497": WardPlaces(  # Kim Phú
        cameras=16,
        streets=("Quốc lộ 2", "Kim Phú", "Phú Lâm"),
        schools=("Mầm non Kim Phú", "Tiểu học Kim Phú", "THCS Kim Phú"),
        crowds=(("market", ("Chợ Kim Phú",)),),
    ),
    "02503": WardPlaces(  # An Khang
        cameras=0,
        streets=("An Khang", "Bình Ca"),
        schools=("Mầm non An Khang", "Tiểu học An Khang", "THCS An Khang"),
        crowds=(("market", ("Chợ An Khang",)),),
    ),
    "02509": WardPlaces(  # Mỹ Lâm
        cameras=22,
        streets=("Quốc lộ 37", "Mỹ Lâm", "Suối Khoáng", "Phú Lâm"),
        schools=("Mầm non Mỹ Lâm", "Tiểu học Phú Lâm", "THCS Phú Lâm"),
        crowds=(
            ("square", ("Khu du lịch suối khoáng Mỹ Lâm",)),
            ("hospital", ("Bệnh viện Suối khoáng Mỹ Lâm",)),
            ("market", ("Chợ Mỹ Lâm",)),
        ),
        stores=2,
    ),
    "02512": WardPlaces(  # An Tường
        cameras=36,
        streets=("Phạm Văn Đồng", "Quốc lộ 2", "An Tường", "Lê Duẩn", "Sông Lô"),
        schools=("Mầm non An Tường", "Tiểu học An Tường", "THCS An Tường", "THPT Sông Lô"),
        crowds=(("market", ("Chợ An Tường",)), ("bridge", ("Cầu An Hòa",))),
        supermarkets=("Siêu thị An Tường",),
        stores=3,
    ),
    "02515": WardPlaces(  # Lưỡng Vượng
        cameras=0,
        streets=("Quốc lộ 2", "Lưỡng Vượng"),
        schools=("Mầm non Lưỡng Vượng", "Tiểu học Lưỡng Vượng", "THCS Lưỡng Vượng"),
        crowds=(("market", ("Chợ Lưỡng Vượng",)),),
    ),
    "02521": WardPlaces(  # Thái Long
        cameras=0,
        streets=("Thái Long", "Quốc lộ 2"),
        schools=("Mầm non Thái Long", "Tiểu học Thái Long", "THCS Thái Long"),
        crowds=(("market", ("Chợ Thái Long",)),),
    ),
    "02524": WardPlaces(  # Đội Cấn
        cameras=22,
        streets=("Quốc lộ 2", "Đội Cấn", "Thái Long", "Long Bình An"),
        schools=("Mầm non Đội Cấn", "Tiểu học Đội Cấn", "THCS Đội Cấn"),
        crowds=(("bridge", ("Cầu Bình Ca",)), ("market", ("Chợ Đội Cấn",))),
        supermarkets=("Siêu thị Long Bình An",),
        stores=2,
    ),
}
